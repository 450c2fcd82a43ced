import io
from pathlib import Path

import pytest
from PIL import Image

from services.commands.grid import CARD, GAP, draw_grid, save_grid
from services.commands.offline import Hit


def hits(count: int) -> list[Hit]:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "JPEG")
    return [Hit(n, f"p{n}", "A mug " * n, 9.5, 0.5, buffer.getvalue()) for n in range(1, count + 1)]


@pytest.mark.parametrize(("count", "columns", "rows"), [(10, 5, 2), (7, 5, 2), (3, 3, 1)])
def test_size_follows_the_hits(count: int, columns: int, rows: int) -> None:
    sheet = draw_grid("a mug", hits(count))
    assert sheet.width == GAP + columns * (CARD[0] + GAP)
    assert 0 < sheet.height - rows * (CARD[1] + GAP) < 100


@pytest.mark.parametrize("query", ["a mug", "a gift for a mother who " * 20, "x" * 500])
def test_is_not_blank_whatever_the_query(query: str, tmp_path: Path) -> None:
    save_grid(draw_grid(query, hits(6)), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as sheet:
        assert len(sheet.getcolors(maxcolors=1 << 20)) > 50
        heading = sheet.crop((0, 0, sheet.width, 60)).convert("L")
        assert heading.getextrema()[0] < 100


def test_no_hits_is_a_sheet_too() -> None:
    assert draw_grid("a mug", []).width == GAP + 2 * (CARD[0] + GAP)
