"""Preference-aligned sampling: groups rich in pictures that the student already likes.

A random group is mostly bad matches and teaches little, so the student's own score range is cut
into bands and few pictures are drawn from each (arXiv 2510.12014, section on data sampling).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """How alike items are. Two pictures of nearly the same thing in a group teach little.

    For every place of a group, of `candidates` items of the band the one is taken whose largest
    cosine to the group so far is smallest. (Kindred's own; the paper draws evenly.)
    """

    vectors_ND: NDArray[np.floating]  # unit vectors
    candidates: int


def sample_group(
    scores_N: NDArray[np.floating],
    edges: Sequence[float],
    sizes: Sequence[int],
    rng: np.random.Generator,
    look: Look | None = None,
) -> NDArray[np.intp]:
    """Draw distinct items, `sizes[i]` from the i-th band of the score range, worst band first.

    With a = min and r = max - min the bands are cut at a + edge * r. A band that is short is made
    up for from anywhere.

    Args:
        scores_N: The student's score of each item.
        edges: Where to cut, rising, in [0, 1].
        sizes: How many to draw from each band, one more than edges.
        rng: Draws the items and shuffles them: the order is the order of presentation.
        look: None draws the items of a band evenly; else how alike items are, to draw unlike ones.

    Raises:
        ValueError: There are fewer items than the group needs.
    """
    wanted = sum(sizes)
    if len(scores_N) < wanted:
        msg = f"got {len(scores_N)} items for groups of {wanted}; label needs a larger catalogue"
        raise ValueError(msg)
    band_N = bands(scores_N, edges)
    drawn: list[int] = []
    for band, size in enumerate(sizes):
        drawn += _draw(rng.permutation(np.flatnonzero(band_N == band)), size, drawn, look)
    others = np.setdiff1d(np.arange(len(scores_N)), drawn)
    drawn += _draw(rng.permutation(others), wanted - len(drawn), drawn, look)
    return rng.permutation(drawn)


def _draw(
    shuffled: NDArray[np.intp], size: int, before: Sequence[int], look: Look | None
) -> list[int]:
    """The first items; with a look, each the one of the next few that is least like the others."""
    if look is None:
        drawn: list[int] = shuffled[:size].tolist()
        return drawn
    left, drawn = shuffled.tolist(), []
    while left and len(drawn) < size:
        few, others = left[: look.candidates], [*before, *drawn]
        alike = (look.vectors_ND[few] @ look.vectors_ND[others].T).max(axis=1, initial=-1.0)
        drawn.append(left.pop(int(alike.argmin())))
    return drawn


def bands(scores_N: NDArray[np.floating], edges: Sequence[float]) -> NDArray[np.intp]:
    """The band of each item, (N,), 0 = worst: with a = min and r = max - min, cut at a + edge*r."""
    low, high = scores_N.min(), scores_N.max()
    cut: NDArray[np.intp] = np.digitize(scores_N, low + np.asarray(edges) * (high - low))
    return cut
