"""The winners' percentiles as a picture, and as a table for `dvc plots`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from retrieval.files import atomic_file

TABLE = Path("reports/percentiles.csv")
PICTURE = Path("reports/percentiles.png")
BINS = 20
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


def write_percentiles(percentiles: Mapping[str, Sequence[float]]) -> None:
    """Write the table (a row a model and bin) and the picture.

    Args:
        percentiles: Model -> the percentile of each persona's winner, in [0, 1].
    """
    edges = np.linspace(0, 1, BINS + 1)
    shares = {
        model: np.histogram(values, edges)[0] / len(values) for model, values in percentiles.items()
    }
    with atomic_file(TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "percentile", "share"])
        for model, heights in shares.items():
            for edge, height in zip(edges, heights, strict=False):
                writer.writerow([model, f"{edge:.2f}", f"{height:.4f}"])
    with atomic_file(PICTURE) as temporary:
        _draw(percentiles, edges, temporary)


def _draw(percentiles: Mapping[str, Sequence[float]], edges: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    order = [model for model in TITLES if model in percentiles]
    figure = Figure(figsize=(7.5, 1.25 * len(order) + 0.9), layout="constrained")
    rows = figure.subplots(len(order), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for model, axes in zip(order, rows, strict=True):
        values = np.asarray(percentiles[model])
        weights = np.full(len(values), 100 / len(values))
        axes.hist(values, edges, weights=weights, color=COLORS[model], rwidth=0.92)
        axes.axvline(values.mean(), color="black", linewidth=1)
        label = f"{TITLES[model]}: mean {100 * values.mean():.1f} %"
        axes.set_title(label, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 1)
    rows[len(rows) // 2].set_ylabel("share of personas, %")
    rows[-1].set_xlabel("percentile of the teacher's favourite in the model's ranking (1 = first)")
    title = f"How high is the picture that the teacher chose? {len(values)} unseen personas"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.savefig(path, dpi=110, metadata={"Software": None})
