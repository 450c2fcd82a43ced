"""How far a student may go from its base model: what validation says, and the rule that decides.

Training towards the teacher's wishes helps them most where nothing holds it back, and may harm
wishes that no training persona has, and literal search. So the candidates of a cycle, and then the
cycles, are judged by three things that training never saw: personas with known wishes, personas
whose whole group of wishes is held out, and captions of other products.

Q personas, C products of a split, D embedding width.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.held_out.winners import read_held_out
from pipelines.run.paths import BASE, CAPTION_VECTORS, PERSONAS_FILE, product_vectors
from retrieval.captions import caption_ranks
from retrieval.metrics import recall_at
from retrieval.resampling import mean_interval
from retrieval.slices import SEEN, UNSEEN, named_wishes, novelty_of, trained_wishes
from retrieval.storage.schema import PERSONAS, read_rows
from retrieval.storage.vectors import read_vectors

Floats = NDArray[np.floating]

ONE_ERROR = 0.683  # the level of an interval of one standard error on either side


@dataclass(frozen=True)
class Restraint:
    """What holds a student back: a share of variance (1: nothing), and a blend with its base."""

    span: float
    blend: float


NOTHING_LEARNED = Restraint(1.0, 0.0)


@dataclass(frozen=True)
class Validation:
    """A model beside the base model on the validation split; None where nobody can tell."""

    known: float | None  # gain in the winner's mean percentile, wishes that training knows
    held_out: float | None  # the same for wishes of no training persona
    held_out_high: float | None  # that gain and one standard error
    caption_drop: float  # of caption recall@1, the larger of both directions; below 0: a gain

    @property
    def score(self) -> float:
        """The mean of both gains: a wish is as likely to be new as known."""
        gains = [gain for gain in (self.known, self.held_out) if gain is not None]
        return float(np.mean(gains)) if gains else 0.0

    def harms(self, max_caption_drop: float) -> bool:
        """Whether something falls below the base model.

        Held-out wishes by more than a standard error, or captions by more than the limit.
        """
        below = self.held_out_high is not None and self.held_out_high < 0
        return below or self.caption_drop > max_caption_drop + 1e-12

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return {**asdict(self), "score": self.score}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "Validation":
        """Read what `to_json` gave."""
        return Validation(**{name: content[name] for name in Validation.__dataclass_fields__})


def best_of(validations: Sequence[Validation], max_caption_drop: float) -> int | None:
    """The place of the highest score among those that do no harm; the first among equals.

    None: each of them does.
    """
    places = [at for at, one in enumerate(validations) if not one.harms(max_caption_drop)]
    return max(places, key=lambda at: validations[at].score, default=None)


class Judges:
    """A split's personas and products, and what the base model does there."""

    def __init__(self, split: str = "val", trained: Set[str] | None = None) -> None:
        """Read everything from disk. Raises as `read_held_out`.

        Args:
            split: Whose.
            trained: Wishes that training knows; None: those of the training personas.
        """
        held_out = read_held_out(split)
        if trained is None:
            trained = trained_wishes(read_rows(PERSONAS_FILE, PERSONAS))
        novelty = [novelty_of(one["facets"], trained) for one in held_out.personas]
        self.product_ids = held_out.product_ids
        self._held_out = held_out
        self._texts_QD = held_out.persona_vectors()
        self._known = [row for row, found in enumerate(novelty) if found in ("", SEEN)]
        self._new = [row for row, found in enumerate(novelty) if found == UNSEEN]
        self._groups = [named_wishes(held_out.personas[row]["facets"])[0] for row in self._new]
        self._captions = [product["caption"] for product in held_out.products]
        self._captions_CD = read_vectors(CAPTION_VECTORS).rows(self.product_ids)
        base_CD = read_vectors(product_vectors(BASE)).rows(self.product_ids)
        self._base_Q = self.percentiles(base_CD)
        self._base_recalls = self._recalls(base_CD)

    def percentiles(self, images_CD: Floats) -> NDArray[np.float64]:
        """The winners' percentiles (Q,) under a model's vectors of the products."""
        return self._held_out.percentiles(self._texts_QD @ images_CD.T)

    def validate(self, images_CD: Floats) -> Validation:
        """A model by its unit vectors of the products."""
        gains_Q = self.percentiles(images_CD) - self._base_Q
        drops = [b - s for b, s in zip(self._base_recalls, self._recalls(images_CD), strict=True)]
        interval = self.held_out_interval(images_CD, ONE_ERROR)
        return Validation(
            known=float(gains_Q[self._known].mean()) if self._known else None,
            held_out=float(gains_Q[self._new].mean()) if self._new else None,
            held_out_high=interval[1] if interval else None,
            caption_drop=max(drops),
        )

    def held_out_interval(self, images_CD: Floats, level: float) -> tuple[float, float] | None:
        """Of the mean gain on held-out wishes, clustered by wish; None where nobody has any."""
        gains_M = (self.percentiles(images_CD) - self._base_Q)[self._new]
        if len(gains_M) < 2:
            return (float(gains_M[0]), float(gains_M[0])) if len(gains_M) else None
        return mean_interval(gains_M, self._groups, level)

    def _recalls(self, images_CD: Floats) -> tuple[float, float]:
        """Caption recall@1 from text to image, and from image to text."""
        there = caption_ranks(self._captions_CD, images_CD, self._captions)
        back = caption_ranks(images_CD, self._captions_CD, self._captions)
        return recall_at(there, 1), recall_at(back, 1)
