"""The pictures that a user's table names: found inside its folder, checked, copied in one form."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipelines.ingest.picture_files import PictureFiles
from pipelines.tables.rows import Cells
from retrieval.images import PictureError, open_picture, pixel_sha256, save_picture
from retrieval.storage.files import sha256_file


@dataclass(frozen=True)
class PictureLimits:
    """`catalog.max_megapixels` and `catalog.max_side`."""

    max_megapixels: float
    max_side: int


class PictureCopier:
    """Copies pictures from one folder into another, each picture once."""

    def __init__(self, source: Path, target: Path, limits: PictureLimits) -> None:
        """Make the target folder.

        Args:
            source: The user's folder; nothing outside it is read.
            target: Where the copies go; rows name them relative to its parent.
            limits: What is refused, and what is scaled down.
        """
        self._files = PictureFiles(source)
        self._target = target
        self._limits = limits
        self._rows: dict[str, int] = {}  # digest of a kept picture -> its row
        self.sources: dict[str, str] = {}  # a copy, as rows name it -> its picture in the folder
        self.repeats: dict[int, int] = {}  # a row -> the earlier row whose picture it repeats
        target.mkdir(parents=True, exist_ok=True)

    def copy(self, cells: Cells, identity: str) -> tuple[str, str]:
        """Check the row's picture and, if nothing speaks against the row, copy it.

        To be called last: only a row that is kept leaves a copy, and only a kept row's picture
        makes another row a duplicate.

        Args:
            cells: The row; what is wrong with its picture is added to its reasons.
            identity: The row's id; the copy's name is made from it, and from nothing else.

        Returns:
            The columns image and image_sha256; both "" where there is no copy.
        """
        nothing = "", ""
        name = cells.text("image", required=True)
        if not name:
            return nothing
        try:
            picture = open_picture(self._files.find(name), self._limits.max_megapixels)
        except PictureError as error:
            cells.reasons.append(f"image {name!r} {error}")
            return nothing
        pixels = pixel_sha256(picture)
        self._note_duplicate(cells, name, pixels)
        if cells.reasons:
            return nothing
        copy = self._target / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.jpg"
        save_picture(picture, copy, self._limits.max_side)
        content = sha256_file(copy)
        self._note_duplicate(cells, name, content)  # pictures that differ only before scaling
        if cells.reasons:
            copy.unlink()
            return nothing
        self._rows |= {pixels: cells.number, content: cells.number}
        image = f"{self._target.name}/{copy.name}"
        self.sources[image] = name
        return image, content

    def _note_duplicate(self, cells: Cells, name: str, digest: str) -> None:
        if digest in self._rows:
            self.repeats[cells.number] = self._rows[digest]
            cells.reasons.append(f"image {name!r} shows the same as row {self._rows[digest]}'s")
