"""Preference-aligned sampling: groups rich in pictures that the student already likes.

A random group is mostly bad matches and teaches little, so the student's own score range is cut
into bands and few pictures are drawn from each (arXiv 2510.12014, section on data sampling).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sample_group(
    scores_N: NDArray[np.floating],
    edges: Sequence[float],
    sizes: Sequence[int],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Draw distinct items, `sizes[i]` from the i-th band of the score range, worst band first.

    With a = min and r = max - min the bands are cut at a + edge * r. A band that is short is made
    up for from anywhere.

    Args:
        scores_N: The student's score of each item.
        edges: Where to cut, rising, in [0, 1].
        sizes: How many to draw from each band, one more than edges.
        rng: Draws the items and shuffles them: the order is the order of presentation.

    Raises:
        ValueError: There are fewer items than the group needs.
    """
    wanted = sum(sizes)
    if len(scores_N) < wanted:
        msg = f"got {len(scores_N)} items for groups of {wanted}; label needs a larger catalogue"
        raise ValueError(msg)
    low, high = scores_N.min(), scores_N.max()
    band_N = np.digitize(scores_N, low + np.asarray(edges) * (high - low))
    drawn: list[int] = []
    for band, size in enumerate(sizes):
        members = np.flatnonzero(band_N == band)
        drawn += rng.permutation(members)[:size].tolist()
    others = np.setdiff1d(np.arange(len(scores_N)), drawn)
    drawn += rng.permutation(others)[: wanted - len(drawn)].tolist()
    return rng.permutation(drawn)
