"""A sheet for each concept: the photos it was taught by, and what it finds in three scenes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipelines.run.paths import SUBJECTS_FILE
from pipelines.subjects.lessons import queries_of
from pipelines.subjects.measure import encode_kindred, fill
from retrieval.concepts.concept import Concept
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import SubjectRow
from retrieval.text.tower import TextTower

INK, PAPER, FAINT, HIT = "#26302c", "#fbfaf7", "#8b938f", "#1b9e5a"
CELL, GAP, MARGIN, LABEL, HEAD = 150, 14, 28, 210, 74  # pixels
SCENES, FIRST = 3, 5  # searches on a sheet, and results of each

Searches = Sequence[tuple[str, Sequence[tuple[Path, bool]]]]


def search_scenes(
    tower: TextTower,
    concept: Concept,
    subjects: Sequence[SubjectRow],
    gallery: Sequence[SubjectRow],
    gallery_GD: NDArray[np.float32],
) -> Searches:
    """What a concept finds in its first scenes: the query in words, and its first results.

    A result is a picture file, and whether it is right.
    """
    asked = [row for row in queries_of(subjects, [concept.name]) if row["kind"] == "context"]
    asked = asked[:SCENES]
    vectors_QD = encode_kindred(tower, asked, {concept.name: concept})
    found = []
    for query, scores_G in zip(asked, vectors_QD @ gallery_GD.T, strict=True):
        best = np.argsort(-scores_G, kind="stable")[:FIRST]
        pictures = [
            (SUBJECTS_FILE.parent / gallery[at]["image"], gallery[at]["row_id"] in query["truths"])
            for at in best
        ]
        found.append((fill(query["text"], [f"my {concept.noun}"]), pictures))
    return found


def draw_sheet(
    title: str,
    photos: Sequence[Image.Image],
    searches: Searches,
    path: Path,
) -> None:
    """Draw one concept's sheet: its photos, and below them what each search finds.

    Args:
        title: What the concept is called.
        photos: The reference photos.
        searches: As `search_scenes` gives them.
        path: A PNG file.
    """
    most = max([len(photos), *(len(found) for _, found in searches)])
    width = 2 * MARGIN + LABEL + most * (CELL + GAP) - GAP
    height = HEAD + (1 + len(searches)) * (CELL + GAP) + MARGIN + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 22), title, INK, ImageFont.load_default(26))
    top = HEAD
    _label(draw, "taught by", f"{len(photos)} photos", top)
    for number, photo in enumerate(photos):
        _put(sheet, photo, number, top, None)
    top += CELL + 2 * GAP
    draw.line((MARGIN, top - GAP, width - MARGIN, top - GAP), "#d9d6cd", 2)
    for query, found in searches:
        _label(draw, "search", query, top)
        for number, (picture, right) in enumerate(found):
            with Image.open(picture) as image:
                _put(sheet, image.convert("RGB"), number, top, right)
        top += CELL + GAP
    with atomic_file(path) as temporary:
        sheet.save(temporary, "PNG")


def _label(draw: ImageDraw.ImageDraw, small: str, text: str, top: int) -> None:
    draw.text((MARGIN, top + 30), small, FAINT, ImageFont.load_default(14))
    font = ImageFont.load_default(18)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > LABEL - GAP:
            lines.append(word)
        else:
            lines[-1] = longer
    draw.multiline_text((MARGIN, top + 52), "\n".join(lines[:4]), INK, font, spacing=5)


def _put(
    sheet: Image.Image, picture: Image.Image, number: int, top: int, right: bool | None
) -> None:
    """A picture in its place: framed where it is a right answer, paler where it is a wrong one."""
    left = MARGIN + LABEL + number * (CELL + GAP)
    cell = ImageOps.fit(picture.convert("RGB"), (CELL, CELL), Image.Resampling.LANCZOS)
    if right is False:
        cell = Image.blend(cell, Image.new("RGB", cell.size, PAPER), 0.45)
    sheet.paste(cell, (left, top))
    if right:
        frame = (left - 4, top - 4, left + CELL + 3, top + CELL + 3)
        ImageDraw.Draw(sheet).rounded_rectangle(frame, 6, outline=HIT, width=5)
