"""The picture of a lineage: a column of boxes for each step, by Matplotlib, as SVG or PNG.

Lengths are in points: a figure's inch has 72 of them, and so have the axes here.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from registry.lineage_graph import Box
from retrieval.storage.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")
_PAPER, _SURFACE, _INK, _SOFT, _LINE = "#faf8f4", "#ffffff", "#1f1c19", "#655e57", "#cfc6ba"
_MOODS = {"plain": "#3f77a8", "good": "#1b7f5c", "bad": "#ab3220", "open": "#99938b"}
_WIDTH, _COLUMN_GAP, _ROW_GAP, _MARGIN = 144, 34, 24, 16
_TITLE = 34  # above the boxes
_PADDING, _HEADING, _LARGE, _SMALL = 12, 13, 21, 14  # heights of lines
_LETTERS = 28  # of a small line, in a box
_DPI = 192  # of a PNG

_Place = tuple[float, float, float]  # left, top, height; y grows downwards


def draw_lineage(graph: nx.DiGraph, title: str, path: Path) -> None:
    """Draw the boxes and arrows of `lineage_graph` to a file, whole or not at all.

    Args:
        graph: Every node has a `box` and a `column`.
        title: Above them.
        path: Its suffix says which of `FORMATS`.

    Raises:
        ValueError: The suffix is none of them.
        OSError: The file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        msg = f"got {path.name}, expected a name that ends in {' or '.join(FORMATS)}"
        raise ValueError(msg)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    places, width, height = _place(graph)
    # Equal pictures for equal lineages; letters as outlines, so that no font is needed to read it.
    with rc_context({"svg.hashsalt": "kindred", "svg.fonttype": "path"}):
        figure = Figure(figsize=(width / 72, height / 72), facecolor=_PAPER)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        axes.text(_MARGIN, _MARGIN + 12, title, color=_INK, fontsize=13, va="center")
        for one, other in graph.edges:
            _draw_arrow(axes, places[one], places[other])
        for name, place in places.items():
            _draw_box(axes, graph.nodes[name]["box"], place)
        kind = path.suffix.lower().removeprefix(".")
        unstamped: dict[str, Any] = {"Date": None} if kind == "svg" else {}
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=_DPI, facecolor=_PAPER, metadata=unstamped)


def _place(graph: nx.DiGraph) -> tuple[dict[str, _Place], float, float]:
    """Each box in its column, columns centred; and the picture's size."""
    columns: list[list[str]] = [[] for _ in range(1 + max(graph.nodes[n]["column"] for n in graph))]
    for name in nx.topological_sort(graph):
        columns[graph.nodes[name]["column"]].append(name)
    heights = {name: _height(graph.nodes[name]["box"]) for name in graph}
    tall = [sum(heights[n] for n in names) + _ROW_GAP * (len(names) - 1) for names in columns]
    places: dict[str, _Place] = {}
    for number, names in enumerate(columns):
        left = _MARGIN + number * (_WIDTH + _COLUMN_GAP)
        top = _TITLE + _MARGIN + (max(tall) - tall[number]) / 2
        for name in names:
            places[name] = (left, top, heights[name])
            top += heights[name] + _ROW_GAP
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _COLUMN_GAP) - _COLUMN_GAP
    return places, width, _TITLE + 2 * _MARGIN + max(tall)


def _height(box: Box) -> float:
    return 2 * _PADDING + _HEADING + _LARGE + _SMALL * len(box.small)


def _draw_box(axes: "Axes", box: Box, place: _Place) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    left, top, height = place
    colour = _MOODS[box.mood]
    frame = FancyBboxPatch(
        (left, top), _WIDTH, height, boxstyle="round,pad=0,rounding_size=7",
        facecolor=_SURFACE, edgecolor=_LINE, linewidth=1,
        linestyle="--" if box.mood == "open" else "-",
    )  # fmt: skip
    axes.add_patch(frame)
    strip = Rectangle((left, top), 4, height, facecolor=colour, linewidth=0)
    axes.add_patch(strip)
    strip.set_clip_path(frame)
    x, y = left + _PADDING + 2, top + _PADDING
    axes.text(
        x, y + _HEADING / 2, box.heading, color=colour, fontsize=8, va="center", weight="bold"
    )
    y += _HEADING
    axes.text(x, y + _LARGE / 2, _short(box.large, 19), color=_INK, fontsize=12, va="center")
    y += _LARGE
    for line in box.small:
        axes.text(x, y + _SMALL / 2, _short(line, _LETTERS), color=_SOFT, fontsize=8.2, va="center")
        y += _SMALL


def _draw_arrow(axes: "Axes", start: _Place, end: _Place) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Line

    places, codes = _route(start, end)
    head = "-|>,head_length=5,head_width=2.6"
    line = Line(places, [getattr(Line, code) for code in codes])
    axes.add_patch(FancyArrowPatch(path=line, arrowstyle=head, color=_SOFT, linewidth=1.2))


def _route(start: _Place, end: _Place) -> tuple[list[tuple[float, float]], list[str]]:
    """Down in a column, to the right into the next one; to one farther on, from below."""
    x, y = start[0] + _WIDTH + 2, start[1] + start[2] / 2
    goal_x, goal_y = end[0] - 3, end[1] + end[2] / 2
    if start[0] == end[0]:
        middle = start[0] + _WIDTH / 2
        return [(middle, start[1] + start[2] + 2), (middle, end[1] - 3)], ["MOVETO", "LINETO"]
    if goal_x - x > _WIDTH:
        goal_x, goal_y = end[0] + _WIDTH / 2, end[1] + end[2] + 3
        corner = [(goal_x - 10, y), (goal_x, y), (goal_x, y - 10)]
        codes = ["MOVETO", "LINETO", "CURVE3", "CURVE3", "LINETO"]
        return [(x, y), *corner, (goal_x, goal_y)], codes
    middle = (x + goal_x) / 2  # level at both ends
    bend = [(middle, y), (middle, goal_y), (goal_x, goal_y)]
    return [(x, y), *bend], ["MOVETO", "CURVE4", "CURVE4", "CURVE4"]


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
