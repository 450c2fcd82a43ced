"""The subjects of personal concepts: their photos, and who of them is for choosing settings.

D embedding width, P photos.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.run.paths import SUBJECTS_FILE
from pipelines.run.stage import say
from pipelines.subjects.pairs import pair_up
from retrieval.concepts.concept import Concept, ConceptWarning, new_concept
from retrieval.concepts.learning import Settings, learn_many, photo_concerns
from retrieval.encoder import Encoder
from retrieval.images import PictureError, open_picture
from retrieval.storage.schema import SubjectRow
from retrieval.text.tower import TextTower

Floats = NDArray[np.float32]

MAX_MEGAPIXELS = 64
VALIDATION_PART = 3  # one subject in so many is for choosing settings


@dataclass(frozen=True)
class Lesson:
    """What a concept is learned from."""

    start: Concept
    photos: tuple[Image.Image, ...]

    def first(self, count: int) -> "Lesson":
        """The lesson with its first photos alone."""
        return Lesson(self.start, self.photos[:count])


def references_by_concept(subjects: Sequence[SubjectRow]) -> dict[str, list[SubjectRow]]:
    """The reference rows of each concept, in the table's order.

    Raises:
        SystemExit: A query names a concept that has no photo.
    """
    references: dict[str, list[SubjectRow]] = {}
    for row in subjects:
        if row["role"] == "reference":
            references.setdefault(row["concepts"][0], []).append(row)
    named = {name for row in subjects if row["role"] == "query" for name in row["concepts"]}
    if missing := sorted(named - set(references)):
        msg = f"concepts {missing} are asked for but have no reference photos; add one or more each"
        raise SystemExit(msg)
    return references


def validation_subjects(names: Sequence[str]) -> list[str]:
    """The first third of the subjects: settings are chosen on them, the rest is reported.

    Subjects next to each other share pictures, so a block leaves the most pairs whole.
    """
    return list(names)[: len(names) // VALIDATION_PART]


def reported_subjects(names: Sequence[str]) -> list[str]:
    """All subjects but those for choosing settings."""
    return list(names)[len(names) // VALIDATION_PART :]


def queries_of(subjects: Sequence[SubjectRow], names: Sequence[str]) -> list[SubjectRow]:
    """The queries whose concepts are all among the names."""
    known = set(names)
    return [row for row in subjects if row["role"] == "query" and known.issuperset(row["concepts"])]


def prepare(
    tower: TextTower, references: Mapping[str, Sequence[SubjectRow]], identifier: str
) -> list[Lesson]:
    """Read the photos of every concept; one that cannot be read is named and left out.

    Raises:
        SystemExit: Of a concept no photo can be read, or its noun is none.
    """
    lessons = []
    for name, rows in references.items():
        photos = [photo for row in rows if (photo := _read(name, row)) is not None]
        if not photos:
            msg = f"concept {name}: none of its {len(rows)} photos can be read; see above"
            raise SystemExit(msg)
        try:
            start = new_concept(name, rows[0]["noun"], identifier, tower.width)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        lessons.append(Lesson(start, tuple(photos)))
    return lessons


def unrelated_cosine(pictures_GD: Floats) -> float:
    """The mean cosine of two different pictures of a gallery; 0 where there are none."""
    count = len(pictures_GD)
    if count < 2:
        return 0.0
    total = float(np.square(pictures_GD.sum(axis=0, dtype=np.float64)).sum())
    return (total - count) / (count * (count - 1))


def report_concerns(encoder: Encoder, lessons: Sequence[Lesson], unrelated: float) -> None:
    """Say what about a concept's photos its owner should hear: one photo, different things."""
    for lesson in lessons:
        for concern in photo_concerns(encoder.encode_images(lesson.photos), unrelated):
            say(f"warning: concept {lesson.start.name}: {concern}")


def teach(
    tower: TextTower, lessons: Sequence[Lesson], settings: Settings, pairs: int
) -> tuple[list[Concept], Floats]:
    """Learn concepts from their photos, and from so many pictures of two of them side by side.

    Returns:
        The concepts, and the loss before every step, (concepts, steps).

    Raises:
        ValueError: As `retrieval.concepts.queries.learn_many`.
    """
    pictures = [[*lesson.photos, *pair_up(lesson.photos, pairs)] for lesson in lessons]
    vectors = [tower.encoder.encode_images(some) for some in pictures]
    with warnings.catch_warnings():
        # Pictures of two differ from those of one, as they should: see `report_concerns`.
        warnings.simplefilter("ignore", ConceptWarning)
        return learn_many(tower, [lesson.start for lesson in lessons], vectors, settings)


def _read(name: str, row: SubjectRow) -> Image.Image | None:
    path = SUBJECTS_FILE.parent / row["image"]
    try:
        return open_picture(path, MAX_MEGAPIXELS)
    except PictureError as error:
        say(f"warning: concept {name}: {path} {error}; it is left out")
        return None
