"""The pictures that a table names, as the stage `catalog` would take them, without copying any."""

from collections.abc import Mapping, Set
from pathlib import Path

from pipelines.ingest.pictures import PictureCopier, PictureLimits
from pipelines.sync.seen import Seen
from pipelines.tables.rows import Cells
from retrieval.images import PictureError, open_picture


class SeenPictures(PictureCopier):
    """Checks pictures by what is known of their files; nothing is written."""

    def __init__(
        self,
        source: Path,
        nowhere: Path,
        limits: PictureLimits,
        seen: Mapping[Path, Seen],
        known: Set[tuple[str, str]],
    ) -> None:
        """Remember everything.

        Args:
            source: The user's folder; nothing outside it is read.
            nowhere: A folder that stays empty.
            limits: What is refused.
            seen: What files became.
            known: Products' ids with the digests of pictures whose vectors are known.
        """
        super().__init__(source, nowhere, limits)
        self._seen = seen
        self._known = known

    def copy(self, cells: Cells, identity: str) -> tuple[str, str]:
        """Check the row's picture as `PictureCopier.copy` does.

        Returns:
            The picture's path, and the digest of the copy that the catalogue would hold; both ""
            where it is refused. A file that is the catalogue's very copy keeps its digest.
        """
        nothing = "", ""
        name = cells.text("image", required=True)
        if not name:
            return nothing
        try:
            path = self._files.find(name)
            seen = self._look(path)
        except PictureError as error:
            cells.reasons.append(f"image {name!r} {error}")
            return nothing
        for digest in (seen.pixels, seen.content):
            self._note_duplicate(cells, name, digest)
        if cells.reasons:
            return nothing
        self._rows |= {seen.pixels: cells.number, seen.content: cells.number}
        own = (identity, seen.source) in self._known
        return str(path), seen.source if own else seen.content

    def _look(self, path: Path) -> Seen:
        seen = self._seen.get(path)
        if seen is None:
            open_picture(path, self._limits.max_megapixels)  # says why it cannot be read
            raise PictureError("changed while it was read; run this again")
        if seen.fault:
            raise PictureError(seen.fault)
        return seen
