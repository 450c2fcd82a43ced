"""The subjects of personal concepts: their photos, and who of them is for choosing settings."""

from collections.abc import Mapping, Sequence

from PIL import Image

from pipelines.run.paths import SUBJECTS_FILE
from pipelines.run.stage import say
from retrieval.concepts.concept import new_concept
from retrieval.concepts.learning import photo_concerns
from retrieval.concepts.teaching import Lesson
from retrieval.encoder import Encoder
from retrieval.images import PictureError, open_picture
from retrieval.storage.schema import SubjectRow
from retrieval.text.tower import TextTower

MAX_MEGAPIXELS = 64
VALIDATION_PART = 3  # one subject in so many is for choosing settings


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


def report_concerns(encoder: Encoder, lessons: Sequence[Lesson], unrelated: float) -> None:
    """Say what about a concept's photos its owner should hear: one photo, different things."""
    for lesson in lessons:
        for concern in photo_concerns(encoder.encode_images(lesson.photos), unrelated):
            say(f"warning: concept {lesson.start.name}: {concern}")


def _read(name: str, row: SubjectRow) -> Image.Image | None:
    path = SUBJECTS_FILE.parent / row["image"]
    try:
        return open_picture(path, MAX_MEGAPIXELS)
    except PictureError as error:
        say(f"warning: concept {name}: {path} {error}; it is left out")
        return None
