"""Whether people ask for what the model was trained on: how far their queries are from its wishes.

Q queries served, H held-out wishes, W training wishes, D embedding width.
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle
from services.search.processes import Notices

WINDOW = 500  # queries that count: the last ones of the service
FEWEST = 100  # before there is a warning
MOST_BY_CHANCE = 0.001  # p-value
# Of the statistic. Held-out wishes of all kinds reach 0.14 by chance with 100 queries; where all
# are of kinds that no training persona has, or half are about something else, it is 0.5.
MOST_APART = 0.4
PAUSE = 5.0  # seconds that a report holds
EXCHANGE = 1.0  # seconds between two times that workers tell each other

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Drift:
    """How the served queries differ from what the model was evaluated on."""

    n: int  # queries
    statistic: float  # of Kolmogorov and Smirnov, one-sided: in [0, 1]
    p_value: float
    warning: str  # "" where all is well


class DriftWatch:
    """Remembers how near the last queries were to a wish; compares when asked. No texts are kept.

    A query is a pair: when it was served, in seconds since 1970, and its cosine.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Read nothing yet; the bundle brings training and held-out wishes."""
        self._bundle = bundle
        self._new: deque[tuple[float, Vectors]] = deque(maxlen=WINDOW)
        self._own: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._others: list[tuple[float, float]] = []  # what other workers served
        self._lock = threading.Lock()  # of what is computed
        self._report: tuple[float, Drift | None] | None = None

    def see(self, vector_D: Vectors) -> None:
        """A query was served."""
        self._new.append((time.time(), vector_D))

    def clear(self) -> None:
        """Nothing was served."""
        self._new.clear()

    def exchange(self, notices: Notices) -> None:
        """Tell the other workers of this version about the queries here, and hear of theirs.

        Raises:
            OSError: Nothing can be told.
        """
        with self._lock:
            digest = self._bundle.digest
            if self._new and self._wishes:
                self._measure()
                notices.tell(json.dumps([digest, [*self._own]]))
            told = (json.loads(text) for text in notices.read())
            self._others = [
                (when, cosine)
                for version, served in told
                if version == digest
                for when, cosine in served
            ]

    def report(self) -> Drift | None:
        """The comparison, computed anew every few seconds; some 20 ms, so not for an event loop.

        None where nothing was served yet, or the bundle has no wishes.
        """
        with self._lock:
            now = time.monotonic()
            if self._report is None or now - self._report[0] > PAUSE:
                self._report = now, self._compare()
            return self._report[1]

    @cached_property
    def _wishes(self) -> tuple[Vectors, NDArray[np.floating[Any]]] | None:
        """Training wishes (W, D), and how near held-out ones are to them (H,); None without."""
        wishes = self._bundle.read_text_vectors("wishes")
        held_out = self._bundle.read_text_vectors("queries")
        if wishes is None or held_out is None or not wishes.ids or not held_out.ids:
            return None
        return wishes.vectors, nearest(held_out.vectors, wishes.vectors)

    def _compare(self) -> Drift | None:
        self._measure()
        served = sorted([*self._own, *self._others])[-WINDOW:]
        if not self._wishes or not served:
            return None
        return compare(np.array([cosine for _, cosine in served]), self._wishes[1])

    def _measure(self) -> None:
        """Find out how near the new queries are."""
        new = [self._new.popleft() for _ in range(len(self._new))]
        if self._wishes and new:
            near_Q = nearest(np.stack([vector_D for _, vector_D in new]), self._wishes[0])
            self._own.extend(zip((when for when, _ in new), near_Q.tolist(), strict=True))


def nearest(texts_QD: Vectors, wishes_WD: Vectors) -> NDArray[np.floating[Any]]:
    """Each text's cosine with the training wish that is nearest to it, (Q,)."""
    found_Q: NDArray[np.floating[Any]] = (texts_QD @ wishes_WD.T).max(axis=1)
    return found_Q


def compare(served_Q: NDArray[np.floating[Any]], known_H: NDArray[np.floating[Any]]) -> Drift:
    """Whether served queries are farther from the training wishes than held-out ones are.

    The test of Kolmogorov and Smirnov for two samples, one-sided: queries that are nearer than
    expected are no cause to warn.

    Args:
        served_Q: Cosines with the nearest wish, one at least.
        known_H: The same of held-out wishes: what the model's numbers speak of.
    """
    from scipy.stats import ks_2samp  # half a second, for who asks

    found = ks_2samp(served_Q, known_H, alternative="greater", method="asymp")
    statistic, p_value = float(found.statistic), float(found.pvalue)
    warns = len(served_Q) >= FEWEST and p_value < MOST_BY_CHANCE and statistic > MOST_APART
    return Drift(len(served_Q), statistic, p_value, _words(len(served_Q), served_Q, known_H)
                 if warns else "")  # fmt: skip


def _words(
    count: int, served_Q: NDArray[np.floating[Any]], known_H: NDArray[np.floating[Any]]
) -> str:
    return (
        f"The last {count} queries are unlike the wishes that this version was trained on: their"
        f" cosine with the nearest one is {np.median(served_Q):.2f} in the median, that of"
        f" held-out wishes {np.median(known_H):.2f}. Its numbers may not hold for them: add such"
        " wishes to the personas, and train again."
    )
