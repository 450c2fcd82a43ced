"""Learning what was taught: photos in, concepts of one model version out."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.search.engine import Engine
from services.search.pictures import MAX_MEGAPIXELS, SIDE

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept


@dataclass(frozen=True)
class Taught:
    """What somebody teaches."""

    name: str
    noun: str
    photos: tuple[bytes, ...]  # JPEG, as `stored_photo` makes it


@dataclass(frozen=True)
class Learned:
    """What a version made of it."""

    bundle: str  # the version's digest
    concept: "Concept"
    warnings: tuple[str, ...]  # what its owner should hear, a sentence each


class TeachingError(ValueError):
    """Nothing can be learned from this; the message says why, and what to do."""


def stored_photo(uploaded: bytes) -> bytes:
    """A photo as it is kept: upright, sRGB, a JPEG without metadata (no place, no time).

    Raises:
        PictureError: It is no picture that can be read.
    """
    from retrieval.images import decode_picture, jpeg_bytes

    return jpeg_bytes(decode_picture(io.BytesIO(uploaded), MAX_MEGAPIXELS), SIDE)


def learn(engine: Engine, lessons: Sequence[Taught]) -> list[Learned]:
    """Learn concepts together, as the pipeline does.

    Raises:
        TeachingError: Of one of them nothing can be learned.
    """
    from PIL import Image

    from retrieval.concepts.concept import new_concept
    from retrieval.concepts.learning import photo_concerns
    from retrieval.concepts.teaching import learn_seen, see

    teaching, tower = engine.teaching, engine.tower
    starts, seen, concerns = [], [], []
    for lesson in lessons:
        photos = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in lesson.photos]
        try:
            start = new_concept(lesson.name, lesson.noun, teaching.identifier, tower.width)
        except ValueError as error:
            raise TeachingError(str(error)) from error
        vectors_PD = see(engine.encoder, photos, teaching.pairs)
        concern = photo_concerns(vectors_PD[: len(photos)], engine.unrelated)
        if concern and len(photos) > 1:
            msg = f"{concern[0]}. Teach with photos of one thing, or leave that photo out"
            raise TeachingError(msg)
        starts.append(start)
        seen.append(vectors_PD)
        concerns.append(tuple(concern))
    try:
        learned, _ = learn_seen(tower, starts, seen, teaching.settings)
    except ValueError as error:
        raise TeachingError(str(error)) from error
    digest = engine.version.digest
    rows = zip(learned, concerns, strict=True)
    return [Learned(digest, concept, warnings) for concept, warnings in rows]
