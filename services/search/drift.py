"""Whether people ask for what the model was trained on: how far their queries are from its wishes.

Q queries served, H held-out wishes, W training wishes, D embedding width.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle

WINDOW = 500  # queries that count: the last ones of this worker
FEWEST = 100  # before there is a warning
MOST_BY_CHANCE = 0.001  # p-value
# Of the statistic. Held-out wishes of all kinds reach 0.14 by chance with 100 queries; where all
# are of kinds that no training persona has, or half are about something else, it is 0.5.
MOST_APART = 0.4
PAUSE = 5.0  # seconds that a report holds

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Drift:
    """How the served queries differ from what the model was evaluated on."""

    n: int  # queries
    statistic: float  # of Kolmogorov and Smirnov, one-sided: in [0, 1]
    p_value: float
    warning: str  # "" where all is well


class DriftWatch:
    """Remembers the vectors of the last queries, in memory and no texts; compares when asked."""

    def __init__(self, bundle: Bundle) -> None:
        """Read nothing yet; the bundle brings training and held-out wishes."""
        self._bundle = bundle
        self._seen: deque[Vectors] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()  # of a report
        self._wishes_WD: Vectors | None = None
        self._known_H: NDArray[np.floating[Any]] | None = None
        self._report: tuple[float, Drift | None] | None = None

    def see(self, vector_D: Vectors) -> None:
        """A query was served."""
        self._seen.append(vector_D)

    def clear(self) -> None:
        """Nothing was served."""
        self._seen.clear()

    def report(self) -> Drift | None:
        """The comparison, computed anew every few seconds; some 20 ms, so not for an event loop.

        None where nothing was served yet, or the bundle has no wishes.
        """
        with self._lock:
            now = time.monotonic()
            if self._report is None or now - self._report[0] > PAUSE:
                self._report = now, self._compare()
            return self._report[1]

    def _compare(self) -> Drift | None:
        served = [*self._seen.copy()]
        if self._known_H is None or self._wishes_WD is None:
            wishes = self._bundle.read_text_vectors("wishes")
            held_out = self._bundle.read_text_vectors("queries")
            if wishes is None or held_out is None or not wishes.ids or not held_out.ids:
                return None
            self._wishes_WD = wishes.vectors
            self._known_H = nearest(held_out.vectors, wishes.vectors)
        if not served:
            return None
        return compare(nearest(np.stack(served), self._wishes_WD), self._known_H)


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
