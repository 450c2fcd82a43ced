"""What spreadsheets, data frames and other systems make of a table of products."""

import re
import unicodedata
from typing import Any

import pytest

HEADER = ["product_id", "image", "title", "caption", "category"]
ROW = ["id1", "photos/1.png", "One, and only", "a; b\tc | d", "cups"]


def joined(cells: list[str], delimiter: str) -> str:
    return delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in cells) + "\r\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("said", ["", "sep=", "quoted"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_whatever_separates_the_fields_they_are_read(
    folder: Any, delimiter: str, said: str, encoding: str
) -> None:
    first = {"": "", "sep=": f"sep={delimiter}\r\n", "quoted": f'"sep={delimiter}"\r\n'}[said]
    text = first + joined(HEADER, delimiter) + joined(ROW, delimiter)
    (folder.path / "products.csv").write_bytes(text.encode(encoding))
    (row,) = folder.read().products
    assert [row["product_id"], row["title"], row["caption"], row["category"]] == [
        ROW[0],
        *ROW[2:],
    ]


def test_what_a_sep_line_says_holds_against_the_header(folder: Any) -> None:
    (folder.path / "products.csv").write_text(
        "sep=;\nproduct_id;image;title, long, and short\nid1;photos/1.png;x\n"
    )
    (row,) = folder.read().products
    assert row["product_id"] == "id1"


def test_columns_without_a_name_are_left_out(folder: Any) -> None:
    (folder.path / "products.csv").write_text(
        ",product_id,image,title,,caption,,,\n"
        "0,id1,photos/1.png,One,x,a thing,,,\n"
        "1,id2,photos/2.png,Two,,a thing,,\n"
        "2,id3,photos/3.png,Three,,a thing,,too many,\n"
    )
    catalog = folder.read()
    assert [row["product_id"] for row in catalog.products] == ["id1", "id2"]
    assert folder.reasons(catalog) == {3: "has 9 fields, expected 6 as in the header"}


@pytest.mark.parametrize(
    "nothing", ["nan", "NaN", "N/A", "#N/A", "NULL", "null", "None", "-", "\u2014", " ", "<NA>"]
)
def test_words_for_nothing_are_nothing(folder: Any, nothing: str) -> None:
    row = folder.product(
        1,
        title=nothing,
        caption=nothing,
        category=nothing,
        price=nothing,
        split=nothing,
        group=nothing,
        **{"attr.colour": nothing},
    )
    other = folder.product(2, caption="a nan bread", category="none of these", group=nothing)
    catalog = folder.read_products(row, other)
    assert catalog.rejects == []
    first, second = catalog.products
    assert (first["title"], first["caption"], first["category"]) == ("", "", "")
    assert first["price"] != first["price"]
    assert (first["split"], first["attributes"], catalog.groups) == ("", {}, ["", ""])
    assert (second["caption"], second["category"]) == ("a nan bread", "none of these")


@pytest.mark.parametrize(
    ("written", "price"),
    [("12,50", 12.5), ("0,5", 0.5), ("1.234,50", 1234.5), ("1,234.50", 1234.5), ("1.234", 1.234)],
)
def test_prices_of_one_meaning_are_read(folder: Any, written: str, price: float) -> None:
    (row,) = folder.read_products(folder.product(1, price=written)).products
    assert row["price"] == price


def test_where_there_is_no_title_the_caption_stands_for_it(
    folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.photo(30).save(folder.path / "photos" / "Red_mug-01.final.png")
    catalog = folder.read_products(
        {"product_id": "a", "image": "photos/1.png", "caption": "a blue cup"},
        {"product_id": "b", "image": "photos/Red_mug-01.final.png"},
        {"product_id": "c", "image": "photos\\3.png", "title": "Given"},
    )
    assert [row["title"] for row in catalog.products] == ["a blue cup", "", "Given"]
    assert [row["caption"] for row in catalog.products] == ["a blue cup", "", ""]
    assert "2 of 3 products have no caption: see captions.kind" in capsys.readouterr().out


NFC = unicodedata.normalize("NFC", "Tasse à café.png")


@pytest.fixture
def files(folder: Any) -> Any:
    """The folder `mine`, with files whose names bend."""
    for number, name in enumerate(
        [NFC, "top.png", "Kanne.JPG", "photos/Mug.png", "photos/mug.PNG"]
    ):
        path = folder.path / unicodedata.normalize("NFD", name)
        folder.photo(40 + number).save(path, "PNG")
    return folder


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mine/photos/1.png", "photos/1.png"),
        ("mine/mine/photos/1.png", "photos/1.png"),
        ("./photos//1.png", "photos/1.png"),
        ("photos\\1.png", "photos/1.png"),
        (".\\mine\\photos\\1.png", "photos/1.png"),
        ("MINE/top.PNG", "top.png"),
        ("kanne.jpg", "Kanne.JPG"),
        (NFC, unicodedata.normalize("NFD", NFC)),
        (NFC.upper(), unicodedata.normalize("NFD", NFC)),
        ("photos/Mug.png", "photos/Mug.png"),  # exactly this one, though another differs in case
        ("photos/mug.PNG", "photos/mug.PNG"),
    ],
)
def test_a_name_of_one_meaning_is_read(files: Any, name: str, file: str) -> None:
    catalog = files.read_products(
        files.product(1, image=name), files.product(2, image="photos/2.png")
    )
    assert catalog.rejects == []
    again = files.read_products(files.product(1, image=file))
    assert catalog.products[0]["image_sha256"] == again.products[0]["image_sha256"]
    assert catalog.sources[catalog.products[0]["image"]] == name  # as the table has it


def test_an_absolute_path_inside_the_folder_is_read(files: Any) -> None:
    assert files.read_products(files.product(1, image=str(files.path / "top.png"))).rejects == []


def test_a_path_from_above_the_folder_is_read(files: Any) -> None:
    above = files.path.parent.name
    row = files.product(1, image=f"{above}/mine/top.png")
    assert files.read_products(row).rejects == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "photos/MUG.png",
            "not exist inside .*; did you mean 'photos/Mug.png' or 'photos/mug.PNG'",
        ),
        ("1.png", "does not exist inside .*mine; did you mean 'photos/1.png'\\?"),
        ("photos/1.jpeg", "does not exist inside .*mine; did you mean 'photos/1.png'\\?"),
        ("other/1.png", "does not exist inside .*mine; did you mean 'photos/1.png'\\?"),
        ("photos/none.png", "does not exist inside \\S*mine$"),
        (
            "https://example.com/photos/1.png?size=2",
            "is a URL, not inside .*; download it; did you mean 'photos/1.png'\\?",
        ),
        ("https://example.com/none.png", "is a URL, not inside .*mine; download it$"),
        (
            "C:\\Users\\me\\1.png",
            "is an absolute path, not inside .*; did you mean 'photos/1.png'\\?",
        ),
        (
            "/home/me/photos/1.png",
            "is an absolute path, not inside .*; did you mean 'photos/1.png'",
        ),
    ],
)
def test_a_name_of_no_single_meaning_says_what_it_may_be(
    files: Any, name: str, reason: str
) -> None:
    catalog = files.read_products(files.product(1, image=name))
    assert catalog.products == []
    (reject,) = catalog.rejects
    assert reject.reason.startswith(f"image {name!r} ")
    assert re.search(reason, reject.reason)


def test_a_link_that_leads_out_is_not_read_under_another_case(files: Any) -> None:
    secret = files.path.parent / "secret.png"
    files.photo(60).save(secret)
    (files.path / "link.png").symlink_to(secret)
    for name in ("link.png", "LINK.PNG", "mine/link.png"):
        (reject,) = files.read_products(files.product(1, image=name)).rejects
        assert "leaves" in reject.reason or "does not exist inside" in reject.reason


def test_subjects_pictures_are_found_alike(files: Any) -> None:
    base = {"role": "reference", "concepts": ["mug"], "noun": "mug"}
    files.write(
        "subjects.jsonl",
        [
            {"row_id": "r1", "image": "mine\\photos\\1.png", **base},
            {"row_id": "r2", "image": "2.png", **base},
        ],
    )
    catalog = files.read_products(files.product(1))
    assert [row["row_id"] for row in catalog.subjects] == ["r1"]
    (reject,) = catalog.rejects
    assert "did you mean 'photos/2.png'?" in reject.reason
