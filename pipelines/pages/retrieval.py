"""The page of the gate on a model: `reports/retrieval/index.html`."""

from collections.abc import Sequence

from pipelines.pages.gates import Difference, difference_scale, gate_facts
from pipelines.pages.render import render
from pipelines.pages.tables import cut
from validation.retrieval import JudgedModel
from validation.retrieval_champion import HEADLINE, Regression, Uncompared
from validation.retrieval_drops import Drop, SliceDrop


def retrieval_page(model: JudgedModel, confidence: float) -> str:
    """The page as HTML.

    Args:
        model: What the gate found.
        confidence: Of the intervals of a family of checks together.
    """
    found = model.champion
    overall, slices = (found.overall, found.slices) if isinstance(found, Regression) else ([], [])
    of_slices = [_of_slice(each) for each in model.slices]
    facts = {
        "confidence": confidence,
        "version": model.version,
        "uncompared": found if isinstance(found, Uncompared) else None,
        "mean": {"base model": _mean_percentile(model.base), "champion": _mean_percentile(overall)},
        "base": cut("Base model", _against(model.base)),
        "champion": cut(f"Champion, version {model.version}", _against(overall)),
        "base_scale": difference_scale(model.base),
        "champion_scale": difference_scale(overall),
        "slices": of_slices,
        "base_slices": cut("Largest drop first", of_slices),
        "champion_slices": cut("Largest drop first", _against(slices)),
        "base_slice_scale": difference_scale(each.drop for each in model.slices),
        "champion_slice_scale": difference_scale(slices),
    }
    return render("retrieval.html", {**gate_facts(model.judged), **facts})


def _against(drops: Sequence[Drop]) -> list[Difference]:
    return [Difference(drop, ["fails"] if drop.is_worse else []) for drop in drops]


def _mean_percentile(drops: Sequence[Drop]) -> Difference | None:
    return next(
        (each for each in _against(drops) if each.drop.what == HEADLINE["percentile"]), None
    )


def _of_slice(found: SliceDrop) -> Difference:
    (against,) = _against([found.drop])
    floor = [f"below the floor, {found.floor:g}"] if found.is_below_floor else []
    return Difference(found.drop, [*against.faults, *floor])
