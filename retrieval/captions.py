"""Literal search: does a caption find its picture? Every product of an equal caption is a hit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics import first_hit_rank


def number_captions(captions: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """The distinct captions in order of appearance, and each row's number among them, (N,)."""
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    return list(numbers), np.array([numbers[caption] for caption in captions], dtype=np.intp)


def equal_captions(captions: Sequence[str]) -> NDArray[np.bool_]:
    """True where two rows have an equal caption, shape (N, N)."""
    _, number_N = number_captions(captions)
    equal: NDArray[np.bool_] = number_N[:, None] == number_N
    return equal


def caption_ranks(
    texts_ND: NDArray[np.floating], images_ND: NDArray[np.floating], captions: Sequence[str]
) -> NDArray[np.float64]:
    """Rank of the first hit of each product's caption among all products."""
    return first_hit_rank(texts_ND @ images_ND.T, equal_captions(captions))


def chance_recall(captions: Sequence[str], k: int) -> float:
    """Recall@k of a random order, exactly: 1 - C(N - h, k) / C(N, k), h hits, a mean over rows."""
    count = len(captions)
    hits_N = equal_captions(captions).sum(axis=1)
    draws = np.arange(min(k, count))
    miss_N = np.clip((count - hits_N[:, None] - draws) / (count - draws), 0, 1).prod(axis=1)
    return float(1 - miss_N.mean())
