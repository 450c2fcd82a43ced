"""The evaluation's plots as pictures, for DVC and MLflow, and the winners' percentiles as a table.

reports/percentiles.png          how high each model ranks the teacher's favourites
reports/percentiles_by_cycle.png the same, cycle by cycle
reports/slices.png               what distillation gained, for whom
reports/calibration.png          whether a larger difference of scores means a surer preference

One style: what a mark is stands beside it, the colours are told apart by colour-blind people too
(blue, green and amber differ in lightness as well), and equal numbers give equal bytes.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.evaluate_series import (
    PERCENTILES_TABLE,
    SLICE_TITLES,
    Bin,
    Histogram,
    SliceGain,
    drawn,
    fit_temperature,
    read_calibration,
    read_histograms,
    read_slices,
    thinned,
)
from pipelines.paths import CYCLES_FILE
from retrieval.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = Path("reports/percentiles.png")
CYCLES = Path("reports/percentiles_by_cycle.png")
SLICES = Path("reports/slices.png")
CALIBRATION = Path("reports/calibration.png")
PICTURES = (PERCENTILES, CYCLES, SLICES, CALIBRATION)

BINS = 20
INK, SOFT = "#1f1c19", "#655e57"
COLORS = {
    "random": "#b8b8b8", "text": "#e0a458", "base": "#5b8db8", "student": "#1b7f5c",
    "ceiling": "#3d3d3d",
}  # fmt: skip
TITLES = {
    "random": "random order",
    "text": "caption → text embedding",
    "base": "base model",
    "student": "student, distilled",
    "ceiling": "ceiling: the truth behind the teacher",
}
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": SOFT, "axes.labelcolor": SOFT, "axes.spines.right": False,
    "axes.spines.top": False, "axes.titlelocation": "left", "axes.titlesize": 10,
    "figure.titlesize": 12, "figure.titleweight": "bold", "font.size": 9.5,
    "text.color": INK, "xtick.color": SOFT, "ytick.color": SOFT,
}  # fmt: skip
_OFFSET: dict[str, Any] = {"textcoords": "offset points", "color": SOFT, "fontsize": 9}


def write_percentiles(percentiles: Mapping[str, Sequence[float]]) -> None:
    """Write the table of `reports/percentiles.png`: a row a model and bin.

    Args:
        percentiles: Model -> the percentile of each persona's winner, in [0, 1]; a model without
            any is left out.
    """
    edges = np.linspace(0, 1, BINS + 1)
    with (
        atomic_file(PERCENTILES_TABLE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["model", "percentile", "share"])
        for model in sorted(filter(percentiles.get, percentiles), key=list(TITLES).index):
            heights = np.histogram(percentiles[model], edges)[0] / len(percentiles[model])
            for edge, height in zip(edges, heights, strict=False):
                writer.writerow([model, f"{edge:.2f}", f"{height:.4f}"])


def draw_plots() -> None:
    """Draw every plot, each from its table; one without data says so: DVC wants the file."""
    _draw_histograms(
        read_histograms(PERCENTILES_TABLE), "How high the teacher's choice ranks", PERCENTILES
    )
    cycles = thinned(read_histograms(CYCLES_FILE))
    _draw_histograms(cycles, "How high the teacher's choice ranks, cycle by cycle", CYCLES)
    _draw_slices(read_slices(), "What distillation gained, for whom", SLICES)
    title = "Does a larger difference of scores mean a surer preference?"
    _draw_calibration(read_calibration(), title, CALIBRATION)


@contextmanager
def _picture(path: Path, height: float, title: str) -> "Iterator[Figure]":
    """A figure in the common style, of a height in inches; written to `path` at the end."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(7.5, height), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left")
        yield figure
        with atomic_file(path) as temporary:
            figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _draw_nothing(title: str, path: Path) -> None:
    with _picture(path, 1.2, title) as figure:
        figure.text(0.01, 0.3, "This run has no numbers for it.", color=SOFT)


def _draw_histograms(histograms: Sequence[Histogram], title: str, path: Path) -> None:
    if not histograms:
        _draw_nothing(title, path)
        return
    others = [each.top for each in histograms if each.name != "ceiling"]
    tallest = 100 * max(others, default=1.0) or 100.0  # they may all lie in the cut bar's bin
    with _picture(path, 0.95 * len(histograms) + 0.9, title) as figure:
        rows = figure.subplots(len(histograms), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for histogram, axes in zip(histograms, rows, strict=True):
            _draw_histogram(histogram, axes)
            axes.set_ylim(0, 1.25 * tallest)  # the ceiling's only bar is cut: its number says it
        rows[-1].set_xlabel("percentile of the teacher's choice in the model's ranking (1 = first)")
        figure.supylabel("share of personas, %", fontsize=9.5, color=SOFT)


def _draw_histogram(histogram: Histogram, axes: "Axes") -> None:
    heights = 100 * np.array(histogram.shares)
    width = 1 / len(heights)
    lefts = np.arange(len(heights)) * width
    color = COLORS.get(histogram.name, COLORS["student"])
    axes.bar(lefts, heights, 0.92 * width, align="edge", color=color)
    axes.set_title(TITLES.get(histogram.name, histogram.name))
    axes.set_xlim(0, 1)
    note = f"{heights[-1]:.0f} % of personas in the top {100 * width:.0f} %"
    axes.set_title(note, loc="right", color=color, weight="bold")


def _draw_slices(slices: Mapping[str, Sequence[SliceGain]], title: str, path: Path) -> None:
    if not slices:
        _draw_nothing(title, path)
        return
    counts = [len(values) for values in slices.values()]
    height = 0.21 * sum(counts) + 0.42 * len(counts) + 1
    with _picture(path, height, title) as figure:
        rows = figure.subplots(len(slices), 1, sharex=True, squeeze=False, height_ratios=counts)
        for (name, values), axes in zip(slices.items(), rows[:, 0], strict=True):
            _draw_slice(values, axes)
            axes.set_title(SLICE_TITLES.get(name, name), weight="bold")
        label = "gain in mean percentile, points, with its 95 % interval (student - base)"
        rows[-1, 0].set_xlabel(label)


def _draw_slice(values: Sequence[SliceGain], axes: "Axes") -> None:
    places = np.arange(len(values))[::-1]
    gains, lows, highs = (
        100 * np.array([getattr(each, key) for each in values]) for key in ("gain", "low", "high")
    )
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.hlines(places, lows, highs, color=COLORS["student"], linewidth=1.4, alpha=0.6)
    axes.plot(gains, places, "o", color=COLORS["student"], markersize=4.5)
    axes.set_yticks(places, [f"{each.value}  ({each.n})" for each in values])
    axes.set_ylim(-0.7, len(values) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_calibration(models: Mapping[str, Sequence[Bin]], title: str, path: Path) -> None:
    if not models:
        _draw_nothing(title, path)
        return
    everything = [each for bins in models.values() for each in drawn(bins)]
    reach = 1.08 * max(each.difference for each in everything)
    lowest = math.floor(10 * min(0.45, *(each.interval()[0] for each in everything))) / 10
    with _picture(path, 4.4, title) as figure:
        axes = figure.subplots()
        axes.axhline(0.5, color=SOFT, linewidth=0.8)
        axes.annotate("a coin", (reach, 0.5), (-2, -11), ha="right", **_OFFSET)
        for number, (model, bins) in enumerate(models.items()):
            aside = (number - (len(models) - 1) / 2) * reach / 120  # so that no bar hides another
            _draw_bins(model, drawn(bins), aside, axes)
            _draw_fit(model, bins, reach, axes)
        axes.set(xlim=(0, reach), ylim=(lowest, 1.02))
        axes.set_xlabel("difference of a model's scores of two products")
        axes.set_ylabel("teacher prefers the higher-scored")


def _draw_bins(model: str, bins: Sequence[Bin], aside: float, axes: "Axes") -> None:
    color = COLORS.get(model, INK)
    places = np.array([each.difference for each in bins]) + aside
    axes.vlines(
        places, *zip(*(each.interval() for each in bins), strict=True), color=color, alpha=0.6
    )
    inside = "white" if model == "base" else color  # told apart without colour too
    shares = [each.share for each in bins]
    axes.plot(places, shares, "o", color=color, markerfacecolor=inside, markersize=5.5)


def _draw_fit(model: str, bins: Sequence[Bin], reach: float, axes: "Axes") -> None:
    tau = fit_temperature(bins)
    if tau is None:
        return
    grid = np.linspace(0, reach, 100)
    curve = 1 / (1 + np.exp(-tau * grid))
    dashes = "--" if model == "base" else "-"
    axes.plot(grid, curve, dashes, color=COLORS.get(model, INK), linewidth=1.6, alpha=0.8)
    note = f"{TITLES.get(model, model)}: τ = {tau:.1f}"
    style = {**_OFFSET, "color": COLORS.get(model, INK)}
    axes.annotate(note, (reach, curve[-1]), (6, 0), va="center", annotation_clip=False, **style)
