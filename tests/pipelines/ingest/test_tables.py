"""Tables that cannot be read as a whole, or in some of their lines."""

import json
import os
from typing import Any

import pytest

FILES = ("products.csv", "products.jsonl", "products.parquet")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("missing", ["product_id", "image"])
def test_a_missing_column_stops_at_once(folder: Any, file: str, missing: str) -> None:
    row = folder.product(1)
    del row[missing]
    folder.write(file, [row])
    with pytest.raises(SystemExit) as stop:
        folder.read()
    assert f"{file} lacks '{missing}': got columns " in str(stop.value)
    assert "expected 'product_id', 'image' (and, if you like, 'title', 'caption'," in str(
        stop.value
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("products.csv", b"", "got columns none"),
        ("products.csv", b"product_id,image,title,caption\n", "has no rows"),
        ("products.csv", b"id;image;title;caption\n1;2;3;4\n", "lacks 'product_id': got columns"),
        ("products.csv", b'product_id;image\n1;"2\n', "expected fields separated by semicolons"),
        ("products.csv", b"product_id,image,title,caption\n1,2,3,\xe9\n", "is not UTF-8"),
        ("products.csv", b'product_id,image,title,caption\n1,2,3,"a\n2,2,3,b\n', "is broken at"),
        ("products.csv", b"product_id,image,image,title,caption\n", "'image' more than once"),
        ("products.jsonl", b"", "lacks 'product_id'"),
        ("products.jsonl", b"\n\n", "lacks 'product_id'"),
        ("products.parquet", b"", "cannot be read as Parquet"),
        ("products.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
    ],
)
def test_a_broken_table_stops_with_its_name(
    folder: Any, file: str, content: bytes, message: str
) -> None:
    (folder.path / file).write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        folder.read()
    assert file in str(stop.value)
    assert message in str(stop.value)


def test_a_truncated_parquet_stops(folder: Any) -> None:
    folder.write("products.parquet", [folder.product(1)])
    content = (folder.path / "products.parquet").read_bytes()
    (folder.path / "products.parquet").write_bytes(content[:-20])
    with pytest.raises(SystemExit, match=r"products\.parquet cannot be read as Parquet"):
        folder.read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_table_without_permission_stops(folder: Any) -> None:
    folder.write("products.csv", [folder.product(1)])
    (folder.path / "products.csv").chmod(0)
    with pytest.raises(SystemExit, match="Permission denied"):
        folder.read()


def test_lines_that_are_no_objects_are_rejected_by_line(folder: Any) -> None:
    lines = [
        json.dumps(folder.product(1)).encode(),
        b"",
        b'{"product_id": ',
        b"[1, 2]",
        b"\xff\xfe",
        b'{"product_id": "x", "price": NaN}',
        b"[" * 100_000,
        json.dumps(folder.product(2)).encode(),
    ]
    (folder.path / "products.jsonl").write_bytes(b"\n".join(lines))
    catalog = folder.read()
    assert len(catalog.products) == 2
    assert list(folder.reasons(catalog)) == [3, 4, 5, 6, 7]
    assert catalog.rows["products.jsonl"] == 7
    assert "is list, expected one JSON object" in folder.reasons(catalog)[4]
    assert "NaN is not a JSON number" in folder.reasons(catalog)[6]


def test_rows_of_csv_are_counted_as_records(folder: Any) -> None:
    (folder.path / "products.csv").write_text(
        "product_id,image,title,caption\n"
        'id1,photos/1.png,One,"on two\nlines"\n'
        "\n"
        "id2,photos/2.png,cut\n"
        "id3,photos/3.png,Three,too,many\n"
        "id4,photos/4.png,Four,trailing,,\n"
        ",,,\n"
    )
    catalog = folder.read()
    assert [row["product_id"] for row in catalog.products] == ["id1", "id4"]
    assert folder.reasons(catalog) == {
        3: "has 3 fields, expected 4 as in the header",
        4: "has 5 fields, expected 4 as in the header",
    }
    assert catalog.rows["products.csv"] == 4


def test_exactly_one_table_of_products(folder: Any) -> None:
    with pytest.raises(SystemExit, match="got none; expected exactly one of"):
        folder.read()
    folder.write("products.csv", [folder.product(1)])
    folder.write("products.jsonl", [folder.product(1)])
    with pytest.raises(SystemExit, match=r"got products\.csv and products\.jsonl; expected"):
        folder.read()
    with pytest.raises(SystemExit, match="which is no folder"):
        folder.read(folder.path / "nowhere")
