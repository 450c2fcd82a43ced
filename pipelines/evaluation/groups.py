"""Groups that the teacher ranked whole: does a model put them into the same order?

Q personas, C products, G groups of K products, P pairs.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pipelines.held_out.winners import Columns, HeldOut
from pipelines.run.paths import HELD_OUT_GROUPS_FILE
from retrieval.metrics import kendall_tau
from retrieval.storage.schema import RANKINGS, read_rows

Floats = NDArray[np.floating]

BINS = 10


class CalibrationRow(TypedDict):
    """A row of reports/calibration.csv: pairs whose scores differ by about as much."""

    model: str
    difference: float
    share: float  # of pairs in which the teacher prefers the higher-scored one
    n: int


def read_groups(held_out: HeldOut) -> list[list[Columns]]:
    """Each persona's groups as columns of the scores, in the teacher's order.

    Groups without a label are left out. Raises as `read_rows`.
    """
    column = {product: number for number, product in enumerate(held_out.product_ids)}
    groups: dict[str, list[Columns]] = {row["persona_id"]: [] for row in held_out.personas}
    for row in read_rows(HELD_OUT_GROUPS_FILE, RANKINGS):
        if row["ranking"] and row["persona_id"] in groups:
            order = np.array([column[product] for product in row["ranking"]], dtype=np.intp)
            groups[row["persona_id"]].append(order)
    return list(groups.values())


def taus(groups_Q: Sequence[Sequence[Columns]], scores_QC: Floats) -> NDArray[np.float64]:
    """Kendall's tau-b of scores and teacher, a mean over each persona's groups, (Q,).

    NaN without a group, and where all scores of all groups are equal.
    """
    flat = [(row, order) for row, groups in enumerate(groups_Q) for order in groups]
    found: dict[int, list[float]] = {}
    for size in sorted({len(order) for _, order in flat}):
        alike = [(row, order) for row, order in flat if len(order) == size]
        scores_GK = np.stack([scores_QC[row, order] for row, order in alike])
        teacher_GK = np.broadcast_to(-np.arange(size, dtype=np.float64), scores_GK.shape)
        for (row, _), tau in zip(alike, kendall_tau(scores_GK, teacher_GK), strict=True):
            if not np.isnan(tau):
                found.setdefault(row, []).append(float(tau))
    return np.array([np.mean(found.get(row, [np.nan])) for row in range(len(scores_QC))])


def calibrate(
    groups_Q: Sequence[Sequence[Columns]], scores: Mapping[str, Floats]
) -> list[CalibrationRow]:
    """How often the teacher prefers the higher-scored of two, by how much higher it is.

    Args:
        groups_Q: Each persona's groups; every pair in one counts.
        scores: Model -> scores (Q, C).

    Returns:
        At most ten rows a model, of as many pairs each, by rising difference; pairs of equal
        scores are left out.
    """
    rows: list[CalibrationRow] = []
    for model, scores_QC in scores.items():
        ahead_P = _differences(groups_Q, scores_QC)
        ahead_P = ahead_P[np.argsort(np.abs(ahead_P), kind="stable")]
        for bin_P in np.array_split(ahead_P, BINS):
            if len(bin_P):
                rows.append(
                    {
                        "model": model,
                        "difference": float(np.abs(bin_P).mean()),
                        "share": float((bin_P > 0).mean()),
                        "n": len(bin_P),
                    }
                )
    return rows


def _differences(groups_Q: Sequence[Sequence[Columns]], scores_QC: Floats) -> NDArray[np.float64]:
    """Of each pair that differs: the score of the preferred one, minus that of the other, (P,)."""
    found = [np.empty(0)]
    for row, groups in enumerate(groups_Q):
        for order in groups:
            better, worse = np.triu_indices(len(order), k=1)
            found.append(scores_QC[row, order[better]] - scores_QC[row, order[worse]])
    ahead_P: NDArray[np.float64] = np.concatenate(found).astype(np.float64)
    return np.extract(ahead_P != 0, ahead_P)
