"""Teaching a concept from photos, as the pipeline and the service do it.

D embedding width, G pictures, P photos.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from retrieval.concepts.concept import Concept, ConceptWarning
from retrieval.concepts.learning import Settings, learn_many
from retrieval.concepts.pairs import pair_up
from retrieval.encoder import Encoder
from retrieval.storage.files import read_json
from retrieval.text.tower import TextTower

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """What a concept is learned from."""

    start: Concept
    photos: tuple[Image.Image, ...]

    def first(self, count: int) -> "Lesson":
        """The lesson with its first photos alone."""
        return Lesson(self.start, self.photos[:count])


_USUAL = Settings(steps=300, learning_rate=0.01, l2=0.2, tolerance=0.001)


@dataclass(frozen=True)
class Teaching:
    """How a model version's concepts are taught; by default as for versions that do not say."""

    identifier: str = "sks"  # the word that stands for a concept, before its noun
    settings: Settings = _USUAL
    pairs: int = 1  # pictures of two photos side by side that are learned from too


def read_teaching(path: Path) -> Teaching:
    """Read a `Teaching` that was written as JSON.

    Raises:
        ValueError: The file is none.
    """
    try:
        return TypeAdapter(Teaching).validate_python(read_json(path))
    except ValidationError as error:
        msg = f"{path} does not say how concepts are taught ({error}); run `dvc repro`"
        raise ValueError(msg) from error


def teach(
    tower: TextTower, lessons: Sequence[Lesson], settings: Settings, pairs: int
) -> tuple[list[Concept], Floats]:
    """Learn concepts from their photos, and from so many pictures of two of them side by side.

    Returns:
        The concepts, and the loss before every step, (concepts, steps).

    Raises:
        ValueError: As `retrieval.concepts.learning.learn_many`.
    """
    seen = [see(tower.encoder, lesson.photos, pairs) for lesson in lessons]
    return learn_seen(tower, [lesson.start for lesson in lessons], seen, settings)


def see(encoder: Encoder, photos: Sequence[Image.Image], pairs: int) -> Floats:
    """Unit vectors (P, D) of photos, and after them of so many pictures of two side by side."""
    return encoder.encode_images([*photos, *pair_up(photos, pairs)])


def learn_seen(
    tower: TextTower, starts: Sequence[Concept], seen: Sequence[Floats], settings: Settings
) -> tuple[list[Concept], Floats]:
    """Learn concepts from what `see` gave; returns and raises as `teach`."""
    with warnings.catch_warnings():
        # Pictures of two differ from those of one, as they should: `photo_concerns` judges photos.
        warnings.simplefilter("ignore", ConceptWarning)
        return learn_many(tower, starts, seen, settings)


def unrelated_cosine(pictures_GD: Floats) -> float:
    """The mean cosine of two different pictures of a gallery; 0 where there are none."""
    count = len(pictures_GD)
    if count < 2:
        return 0.0
    total = float(np.square(pictures_GD.sum(axis=0, dtype=np.float64)).sum())
    return (total - count) / (count * (count - 1))
