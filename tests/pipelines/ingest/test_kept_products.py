"""Products of a user's folder: what is read, and in which form it is kept."""

import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from retrieval.storage.files import sha256_file
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows, write_rows

FILES = ("products.csv", "products.jsonl", "products.parquet")


@pytest.mark.parametrize("file", FILES)
def test_every_form_gives_the_same_rows(folder: Any, file: str) -> None:
    text = file == "products.csv"
    rows: list[dict[str, Any]] = [
        folder.product(1, price="12.50", split="test", **{"attr.colour": "red", "attr.size": "7"}),
        folder.product(
            2, price="" if text else None, split="", **{"attr.colour": "", "attr.size": "8"}
        ),
        folder.product(
            3, product_id="007", title='5" "pipe", ü', caption="two\nlines", category=" c "
        ),
    ]
    if file == "products.parquet":
        rows = [{"category": None, **row} for row in rows]
    folder.write(file, rows)
    catalog = folder.read()
    assert catalog.rejects == []
    assert catalog.rows == {file: 3, "personas.jsonl": 1}
    first, second, third = catalog.products
    assert first["price"] == 12.5
    assert (first["split"], second["split"]) == ("test", "")
    assert math.isnan(second["price"])
    assert first["attributes"] == {"colour": "red", "size": "7"}
    assert second["attributes"] == {"size": "8"}
    assert (third["product_id"], third["category"]) == ("007", "c")
    assert (third["title"], third["caption"]) == ('5" "pipe", ü', "two\nlines")
    assert third["attributes"] == {}


def test_parquet_numbers_become_text(folder: Any) -> None:
    row = folder.product(
        1, product_id=7.0, price=3, **{"attr.size": 42, "attr.wool": True, "attr.x": 0.5}
    )
    folder.write("products.parquet", [row])
    (only,) = folder.read().products
    assert (only["product_id"], only["price"]) == ("7", 3.0)
    assert only["attributes"] == {"size": "42", "wool": "true", "x": "0.5"}


def test_rows_fit_the_schemas_and_copies_are_normalised(folder: Any, tmp_path: Path) -> None:
    folder.photo(1, (100, 50)).save(folder.path / "photos" / "1.png")
    catalog = folder.read_products(folder.product(1, product_id="a/b:c\\..", price=1))
    write_rows(tmp_path / "products.parquet", catalog.products, PRODUCTS)
    write_rows(tmp_path / "personas.parquet", catalog.personas, PERSONAS)
    (row,) = read_rows(tmp_path / "products.parquet", PRODUCTS)
    copy = folder.out / row["image"]
    assert row["product_id"] == "a/b:c\\.."
    assert copy.parent == folder.out / "images"
    assert row["image_sha256"] == sha256_file(copy)
    with Image.open(copy) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 16))


def test_names_of_copies_follow_from_the_id_alone(folder: Any) -> None:
    first = folder.read_products(folder.product(1), folder.product(2)).products
    second = folder.read_products(folder.product(2), folder.product(1)).products
    assert {row["product_id"]: row["image"] for row in first} == {
        row["product_id"]: row["image"] for row in second
    }


def test_a_byte_order_mark_and_spaces_in_the_header_are_tolerated(folder: Any) -> None:
    folder.write("products.csv", [folder.product(1)], encoding="utf-8-sig")
    text = (
        (folder.path / "products.csv").read_text(encoding="utf-8").replace(",image,", ", image ,")
    )
    (folder.path / "products.csv").write_text(text, encoding="utf-8")
    personas = (folder.path / "personas.jsonl").read_bytes()
    (folder.path / "personas.jsonl").write_bytes(b"\xef\xbb\xbf" + personas)
    catalog = folder.read()
    assert [row["product_id"] for row in catalog.products] == ["id1"]
    assert catalog.rejects == []


def test_a_blank_title_becomes_the_caption(folder: Any) -> None:
    (row,) = folder.read_products(folder.product(1, title=" ")).products
    assert row["title"] == row["caption"] == "a thing, number 1"


def test_unread_columns_are_logged(folder: Any, caplog: pytest.LogCaptureFixture) -> None:
    folder.read_products(folder.product(1, colour="red", **{"attr.colour": "red"}))
    assert "nothing reads the columns 'colour'" in caplog.text


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "2.heif", "wrongly.jpg"])
def test_a_telephones_photo_is_kept_in_the_form_of_the_others(folder: Any, name: str) -> None:
    register_heif_opener()  # so that it can be written here
    folder.photo(1, (64, 48)).save(folder.path / "photos" / name, "HEIF", quality=95)
    (row,) = folder.read_products(folder.product(1, image=f"photos/{name}")).products
    with Image.open(folder.out / row["image"]) as copy:
        assert (copy.format, copy.mode, copy.size) == ("JPEG", "RGB", (32, 24))
