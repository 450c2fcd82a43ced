"""The few numbers of `metrics.json` that a version is known by."""

from collections.abc import Mapping
from typing import Any

from retrieval.storage.files import number_at

HEADLINES = {
    "persona_percentile": ("persona", "student", "mean_percentile"),
    "base_persona_percentile": ("persona", "base", "mean_percentile"),
    "held_out_percentile": ("held_out_wishes", "student", "mean_percentile"),
    "base_held_out_percentile": ("held_out_wishes", "base", "mean_percentile"),
    "caption_recall_at_10": ("caption", "student", "recall@10"),
    "concept_map": ("concept", "kindred", "concept_only", "map"),
}


def headlines(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The headline numbers that `metrics` holds."""
    found = {name: number_at(metrics, *path) for name, path in HEADLINES.items()}
    return {name: value for name, value in found.items() if value is not None}


def percent(share: float | None) -> str:
    """A share as a percentage, for people."""
    return "-" if share is None else f"{100 * share:.1f} %"
