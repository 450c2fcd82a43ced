"""Curves over lambda and over the number of photos, as tables for `dvc plots` and as a picture."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipelines.concept_choice import Trial
from retrieval.concepts import Settings
from retrieval.files import atomic_file

LAMBDA_TABLE = Path("reports/curves/concepts_lambda.csv")
PHOTOS_TABLE = Path("reports/curves/concepts_photos.csv")
LINES = {
    "concept_only_map": ("alone: mAP", "#1b7f5c"),
    "context_mrr": ("in a scene: mRR", "#5b8db8"),
    "multi_mrr": ("two at once: mRR", "#e0a458"),
}
INK, FAINT = "#26302c", "#8b938f"


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials as CSV for `dvc plots`, a row a trial; without trials the header alone."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Trial.__dataclass_fields__)
        for trial in trials:
            writer.writerow([f"{value:.6g}" for value in asdict(trial).values()])


def draw_curves(
    trials: Sequence[Trial], over_photos: Sequence[Trial], chosen: Settings, path: Path
) -> None:
    """Draw both curves side by side: what is found, and below it what literal search loses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    upper, lower = figure.subplots(
        2, 2, sharex="col", sharey="row", gridspec_kw={"height_ratios": [3, 1.3]}
    )
    over_l2 = [trial for trial in trials if trial.learning_rate == trials[0].learning_rate]
    over_l2 = sorted(over_l2, key=lambda trial: trial.l2)
    for column, (shown, key) in enumerate(((over_l2, "l2"), (over_photos, "photos"))):
        x = [getattr(trial, key) for trial in shown]
        for line, (label, color) in LINES.items():
            y = [getattr(trial, line) for trial in shown]
            upper[column].plot(x, y, "o-", color=color, label=label, linewidth=2)
        drop = [100 * trial.caption_drop for trial in shown]
        lower[column].plot(x, drop, "o-", color=INK, linewidth=2)
        for axes in (upper[column], lower[column]):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.25)
    upper[0].axvline(chosen.l2, color=FAINT, linestyle=":")
    lower[0].axvline(chosen.l2, color=FAINT, linestyle=":")
    upper[0].set_title(f"over λ (chosen: {chosen.l2:g})", loc="left", fontsize=10)
    upper[1].set_title("over the number of photos", loc="left", fontsize=10)
    upper[0].set_ylim(0, 1.02)
    upper[1].legend(frameon=False, fontsize=9)
    lower[0].set_ylabel("captions lost\nrecall@10, points")
    lower[0].set_xscale("log")
    tried = [trial.l2 for trial in over_l2]
    lower[0].set_xticks(tried, [f"{value:g}" for value in tried])
    lower[0].minorticks_off()
    lower[0].set_xlabel("λ")
    lower[1].set_xlabel("photos a subject")
    lower[1].set_xticks([trial.photos for trial in over_photos])
    title = "Personal concepts on the validation subjects"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
