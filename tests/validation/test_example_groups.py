from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from validation.example_groups import Example, draw_examples, pick_groups

COLORS = ("red", "green", "blue", "white", "black")


@pytest.fixture
def example(tmp_path: Path) -> Example:
    pictures = {color: tmp_path / f"{color}.png" for color in COLORS}
    for color, path in pictures.items():
        Image.new("RGB", (90, 40), color).save(path)
    titles = {color: f"{color} thing" for color in COLORS}
    return Example("c1-00001", "Something red.", COLORS[::-1], COLORS, titles, pictures)


def draw(tmp_path: Path, *examples: Example) -> Image.Image:
    draw_examples(examples, tmp_path / "examples.png")
    with Image.open(tmp_path / "examples.png") as page:
        return page.convert("RGB")


def colors(page: Image.Image) -> list[str]:
    """The pictures' colours from left to right, at the height of their middle."""
    names = {(255, 0, 0): "red", (0, 128, 0): "green", (0, 0, 255): "blue"}
    row = next(y for y in range(page.height) if page.getpixel((120, y)) in names)
    seen = [names.get(page.getpixel((x, row + 20)), "") for x in range(page.width)]
    return [name for name in dict.fromkeys(seen) if name]


def test_pictures_stand_in_the_teachers_order(tmp_path: Path, example: Example) -> None:
    assert colors(draw(tmp_path, example)) == ["red", "green", "blue"]
    other = replace(example, ranking=("blue", "red", "green", "white", "black"))
    assert colors(draw(tmp_path, other)) == ["blue", "red", "green"]


def test_without_a_label_they_stand_as_presented_and_say_so(
    tmp_path: Path, example: Example
) -> None:
    failure = replace(example, ranking=[], presented=("green", "red", "blue", "white", "black"))
    page = draw(tmp_path, failure)
    assert colors(page) == ["green", "red", "blue"]
    assert (176, 32, 32) in {color for _, color in page.getcolors(1 << 24)}  # the words NO LABEL


def test_equal_groups_give_equal_bytes(tmp_path: Path, example: Example) -> None:
    for name in ("1.png", "2.png"):
        draw_examples([example, replace(example, ranking=[])], tmp_path / name)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_missing_and_broken_pictures_are_grey(tmp_path: Path, example: Example) -> None:
    example.pictures["red"].unlink()
    example.pictures["green"].write_bytes(b"no picture")
    unknown = replace(example, pictures={**example.pictures, "blue": tmp_path / "none" / "x.png"})
    page = draw(tmp_path, unknown)
    shares = {color: count for count, color in page.getcolors(1 << 24)}
    assert shares[(222, 224, 227)] > 3 * 150 * 150


@pytest.mark.parametrize("text", ["", "word " * 200, "x" * 500, "Ein Geschenk für Ömer"])
def test_any_text_fits(tmp_path: Path, example: Example, text: str) -> None:
    titled = replace(example, text=text, titles=dict.fromkeys(COLORS, text))
    page = draw(tmp_path, titled)
    assert page.width == draw(tmp_path, example).width
    assert {page.getpixel((page.width - 5, y)) for y in range(page.height)} == {(255, 255, 255)}


def test_large_groups_widen_the_page_and_none_leave_it_empty(
    tmp_path: Path, example: Example
) -> None:
    many = replace(example, presented=COLORS * 2, ranking=COLORS * 2)
    assert draw(tmp_path, many).width > draw(tmp_path, example).width
    assert draw(tmp_path).height > 0


def test_groups_are_spread_over_the_table_and_seeded() -> None:
    rows = [{"group_id": str(i)} for i in range(600)]
    picked = [int(row["group_id"]) for row in pick_groups(rows, 6, seed=1)]
    assert [number // 100 for number in picked] == [0, 1, 2, 3, 4, 5]
    assert pick_groups(rows, 6, seed=1) == pick_groups(rows, 6, seed=1)
    assert pick_groups(rows, 6, seed=1) != pick_groups(rows, 6, seed=2)
    assert pick_groups(rows[:2], 6, seed=1) == rows[:2]
    assert pick_groups([], 6, seed=1) == []
