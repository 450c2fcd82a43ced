"""Every fault that a product may have, each rejected with its row and reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product_id": " "}, "product_id is missing or blank"),
        ({"product_id": None}, "product_id is missing or blank"),
        ({"product_id": "nan"}, "product_id is 'nan', which means that it is missing"),
        ({"image": "N/A"}, "image is 'N/A', which means that it is missing"),
        ({"product_id": ["x"]}, "product_id is ['x'] (list), expected text"),
        ({"product_id": True}, "product_id is True (bool), expected text"),
        ({"product_id": "a\0b"}, "a character that no table can keep"),
        ({"caption": "\ud800"}, "a character that no table can keep"),
        ({"product_id": "a\x01b"}, "product_id 'a\\x01b' holds the control character U+0001"),
        ({"product_id": "é" * 2049}, "has 4098 bytes in UTF-8, expected 4096 at most; shorten it"),
        ({"category": "a\x1b[31m"}, "holds the control character U+001B; remove it"),
        ({"attr.colour": "red\x7f"}, "attr.colour 'red\\x7f' holds the control character U+007F"),
        ({"attr.a\x02": "red"}, "the attribute's name 'a\\x02' holds the control character"),
        ({"caption": {}}, "caption is {} (dict), expected text"),
        ({"image": ""}, "image is missing or blank"),
        ({"image": 3}, "image '3' does not exist"),
        ({"price": "1,234"}, "price is '1,234', expected a number from 0 up"),
        ({"price": "1,2,3"}, "price is '1,2,3', expected"),
        ({"price": -1}, "price is -1, expected"),
        ({"price": "inf"}, "price is 'inf', expected"),
        ({"price": 10**400}, "expected a number from 0 up"),
        ({"price": True}, "price is True, expected"),
        (
            {"split": "validation"},
            "split is 'validation', expected train, val, test, base or blank",
        ),
        ({"attr.colour": ["red"]}, "attr.colour is ['red'] (list), expected text"),
        ({"image": "photos"}, "image 'photos' is not a file"),
        ({"image": "photos/none.png"}, "image 'photos/none.png' does not exist"),
        ({"image": "../mine.png"}, "image '../mine.png' leaves "),
        ({"image": "photos/../../out/x.png"}, "leaves "),
        ({"image": "/etc/hostname"}, "image '/etc/hostname' is an absolute path"),
        ({"image": "photos/out.png"}, "image 'photos/out.png' leaves "),
        ({"image": "far/secret.png"}, "image 'far/secret.png' leaves "),
        ({"image": "photos/loop.png"}, "image 'photos/loop.png' "),
        ({"image": "x" * 300}, "cannot be read"),
    ],
)
def test_a_faulty_cell_rejects_its_row_alone(
    folder: Any, changes: dict[str, Any], reason: str
) -> None:
    outside = folder.path.parent / "elsewhere"
    outside.mkdir()
    folder.photo(50).save(outside / "secret.png")
    folder.photo(51).save(folder.path.parent / "mine.png")
    (folder.path / "photos" / "out.png").symlink_to(outside / "secret.png")
    (folder.path / "photos" / "loop.png").symlink_to(folder.path / "photos" / "loop.png")
    (folder.path / "far").symlink_to(outside)
    catalog = folder.read_products(
        folder.product(1), folder.product(2, **changes), folder.product(3)
    )
    assert [row["product_id"] for row in catalog.products] == ["id1", "id3"]
    (reject,) = catalog.rejects
    assert (reject.file, reject.row) == ("products.jsonl", 2)
    assert reason in reject.reason
    assert len(folder.copies()) == 2


def test_paths_that_stay_inside_are_followed(folder: Any) -> None:
    (folder.path / "link.png").symlink_to(folder.path / "photos" / "1.png")
    linked = folder.path.parent / "linked"
    linked.symlink_to(folder.path)  # the folder itself may be a link
    rows = [folder.product(1, image="link.png"), folder.product(2, image="photos/../photos/2.png")]
    folder.write("products.jsonl", rows)
    assert len(folder.read(linked).products) == 2


def break_pictures(folder: Any) -> dict[str, str]:
    """Write one file a fault; their names and the reasons that they are to be rejected for."""
    photos = folder.path / "photos"
    whole = (photos / "1.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    folder.photo(20).save(photos / "whole.jpg")
    whole = (photos / "whole.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("I am a text file")
    for form in ("gif", "webp", "png"):
        folder.photo(21).save(
            photos / f"moves.{form}", save_all=True, append_images=[folder.photo(22)]
        )
    Image.new("1", (20000, 20000)).save(photos / "bomb.png")
    Image.new("1", (10000, 9500)).save(photos / "large.png")  # where Pillow would warn
    folder.photo(23, (40, 7)).save(photos / "sliver.png")
    return {
        "cut.png": "truncated or damaged",
        "cut.jpg": "truncated or damaged",
        "empty.jpg": "empty (0 bytes)",
        "text.jpg": "is not a picture",
        "moves.gif": "animated",
        "moves.webp": "animated",
        "moves.png": "animated",
        "bomb.png": "more pixels than can be decoded safely",
        "large.png": "10000 x 9500 = 95 megapixels, more than the 1 allowed",
        "sliver.png": "40 x 7 pixels",
    }


def test_broken_pictures_are_all_reported_at_once(folder: Any) -> None:
    faults = break_pictures(folder)
    rows = [folder.product(n, image=f"photos/{name}") for n, name in enumerate(faults, 10)]
    catalog = folder.read_products(folder.product(1), *rows)
    assert len(catalog.products) == 1
    for reject, (name, reason) in zip(catalog.rejects, faults.items(), strict=True):
        assert name in reject.reason
        assert reason in reject.reason


def test_mode_and_rotation_are_repaired(folder: Any) -> None:
    photos, flat = folder.path / "photos", Image.new("RGB", (24, 16), (200, 30, 60))
    flat.convert("CMYK").save(photos / "cmyk.jpg")
    Image.new("RGBA", (24, 16), (0, 0, 0, 0)).save(photos / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    flat.save(photos / "turned.jpg", exif=exif)
    names = ("cmyk.jpg", "clear.png", "turned.jpg")
    rows = [folder.product(n, image=f"photos/{name}") for n, name in enumerate(names, 10)]
    catalog = folder.read_products(*rows)
    assert catalog.rejects == []
    copies = [Image.open(folder.out / row["image"]) for row in catalog.products]
    assert [copy.size for copy in copies] == [(24, 16), (24, 16), (16, 24)]
    assert np.abs(np.asarray(copies[0]).astype(int) - [200, 30, 60]).max() < 10
    assert np.asarray(copies[1]).min() == 255


def test_every_reason_of_a_row_is_given(folder: Any) -> None:
    row = folder.product(2, product_id="id1", title=[], price="x", split="y", image="none.png")
    (reject,) = folder.read_products(folder.product(1), row).rejects
    assert reject.id == "id1"
    for part in ("title is", "price is", "split is", "that of row 1", "does not exist"):
        assert part in reject.reason


def test_a_duplicate_id_names_the_first_row_that_has_it(folder: Any) -> None:
    rows = [
        folder.product(1, price="x"),
        folder.product(2, product_id="id1"),
        folder.product(3, product_id=" id1"),
    ]
    found = folder.reasons(folder.read_products(*rows, folder.product(4)))
    assert found[2] == found[3] == "product_id 'id1' is already that of row 1"


def test_a_picture_kept_in_another_form_is_a_duplicate(folder: Any) -> None:
    folder.photo(1).save(folder.path / "photos" / "again.bmp")
    catalog = folder.read_products(folder.product(1), folder.product(2, image="photos/again.bmp"))
    assert folder.reasons(catalog) == {2: "image 'photos/again.bmp' shows the same as row 1's"}


def test_pictures_that_differ_only_before_scaling_are_duplicates(folder: Any) -> None:
    for number in (1, 2):
        image = Image.new("RGB", (640, 640), "grey")
        image.putpixel((0, 0), (128 + number, 128, 128))
        image.save(folder.path / "photos" / f"{number}.png")
    catalog = folder.read_products(folder.product(1), folder.product(2))
    assert folder.reasons(catalog) == {2: "image 'photos/2.png' shows the same as row 1's"}
    assert len(folder.copies()) == 1


def test_a_rejected_row_does_not_make_its_picture_a_duplicate(folder: Any) -> None:
    rows = folder.product(1, price="x"), folder.product(2, image="photos/1.png")
    catalog = folder.read_products(*rows)
    assert [row["product_id"] for row in catalog.products] == ["id2"]


def test_the_first_kept_row_with_a_split_decides_for_its_group(folder: Any) -> None:
    rows = [
        folder.product(1, group="shoe"),
        folder.product(2, group="shoe", split="val", price=-1),  # rejected: decides nothing
        folder.product(3, group=" shoe ", split="test"),
        folder.product(4, group="shoe", split="train"),
        folder.product(5, group="shoe", split="test"),
        folder.product(6, group="", split="val"),
        folder.product(7, split="train"),
        folder.product(8, group=7, split="train"),
    ]
    catalog = folder.read_products(*rows)
    assert folder.reasons(catalog) == {
        2: "price is -1, expected a number from 0 up, such as 12.50",
        4: "split is 'train', expected 'test' as in row 3, or blank: the rows of group 'shoe' share"
        " one split",
    }
    assert catalog.groups == ["shoe", "shoe", "shoe", "", "", "7"]


def test_every_row_is_kept_or_rejected(folder: Any) -> None:
    faults = break_pictures(folder)
    chance = np.random.default_rng(0)
    changes: list[dict[str, Any]] = [{}, {"title": {}}, {"product_id": "id1"}, {"price": "-3"}]
    changes += [{"image": f"photos/{name}"} for name in faults] + [{"split": "all"}]
    lines = []
    for number in range(1, 121):
        row = folder.product(number, image=f"photos/{chance.integers(1, 10)}.png")
        row |= changes[chance.integers(len(changes))]
        lines.append("{broken" if number % 17 == 0 else json.dumps(row))
    (folder.path / "products.jsonl").write_text("\n".join(lines))
    catalog = folder.read()
    rejected = [reject.row for reject in catalog.rejects]
    kept = [n for n, line in enumerate(lines, 1) if n not in rejected and json.loads(line)["title"]]
    assert len(rejected) == len(set(rejected))
    assert sorted(rejected + kept) == list(range(1, 121))
    assert [json.loads(lines[n - 1])["product_id"] for n in kept] == [
        row["product_id"] for row in catalog.products
    ]
    assert folder.copies() == {Path(row["image"]).name for row in catalog.products}
    assert catalog.rows["products.jsonl"] == 120
