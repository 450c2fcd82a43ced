"""The page of `kindred diff`: one file that opens from disk, pictures inside, no script."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from registry.bundle import Product
from registry.differences.hits import HitChanges, QueryChange
from registry.differences.measured import Shift
from registry.differences.versions import VersionDifference
from retrieval.images import jpeg_bytes
from retrieval.storage.files import atomic_file
from services.commands.diff_command import named, tables_in_words

_TEMPLATES = Path(__file__).with_name("templates")
_SIDE, _QUALITY = (
    128,
    80,
)  # of a picture: a third of the bytes that the bundle's have
_STANDING_OUT = 8  # slices that gained and that lost, in sight


@dataclass(frozen=True)
class Shown:
    """A product as a card of a row."""

    title: str
    picture: str  # as a data URI
    note: str = ""
    mood: str = ""  # gone | new | ""
    is_winner: bool = False


@dataclass(frozen=True)
class Row:
    """A metric or a slice, with its drawing: places in percent of the cell's width."""

    shift: Shift
    middle: float
    low: float
    high: float

    @property
    def mood(self) -> str:
        """By what the interval says."""
        return "" if not self.shift.is_sure else "better" if self.shift.low > 0 else "worse"


def write_diff_page(path: Path, found: VersionDifference) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: It cannot be written there.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": lambda value: f"{value:,}", "percent": _percent}
    html = environment.get_template("diff.html").render(_facts(found))
    with atomic_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _facts(found: VersionDifference) -> dict[str, Any]:
    overall, slices = _rows(found.measured.overall), _rows(found.measured.slices)
    sure = [row for row in slices if row.mood]
    return {
        "found": found,
        "before": named(found.before),
        "after": named(found.after),
        "first": f"version {found.before.number}",
        "second": f"version {found.after.number}",
        "family": f"{100 * found.measured.confidence:g} %",
        "overall": overall,
        "slices": slices,
        "standing_out": sure[:_STANDING_OUT]
        + [row for row in sure[_STANDING_OUT:][-_STANDING_OUT:] if row.mood == "better"],
        "tables": {
            what: tables_in_words(rows).replace("->", "→")
            for what, rows in (
                ("Products", found.products),
                ("Wishes that it was trained on", found.wishes),
                ("Held-out wishes", found.queries),
            )
        },
        "examples": _examples(found),
        "settings": {
            "Labels and teacher": found.teacher
            | {f"rankings of cycle {cycle}": pair for cycle, pair in found.labels.items()},
            "Parameters": found.parameters,
            "Packages": found.packages,
        },
        "queries": [_query(one, found.hits) for one in found.hits.most] if found.hits else [],
    }


def _rows(shifts: Sequence[Shift]) -> list[Row]:
    """On one scale, with zero in the middle."""
    ends = [abs(end) for one in shifts for end in (one.low, one.high) if not math.isnan(end)]
    reach = max(ends, default=0.0) or 1.0

    def at(value: float) -> float:
        return 50.0 if math.isnan(value) else round(50 + 50 * value / reach, 2)

    return [Row(one, at(one.difference), at(one.low), at(one.high)) for one in shifts]


def _examples(found: VersionDifference) -> dict[str, list[Shown]]:
    old, new = found.examples
    changed = []
    for id_ in [id_ for id_ in old if id_ in new]:
        columns = sorted(found.products.changed[id_])
        changed.append(_shown(new[id_], ", ".join(columns)))
    kinds = {
        "Added": [_shown(new[id_]) for id_ in new if id_ not in old],
        "Removed": [_shown(old[id_]) for id_ in old if id_ not in new],
        "Changed": changed,
    }
    return {kind: shown for kind, shown in kinds.items() if shown}


def _query(one: QueryChange, hits: HitChanges) -> dict[str, Any]:
    both = {*one.before} & {*one.after}
    lost = {id_: "removed" if id_ in hits.removed else "out" for id_ in {*one.before} - both}
    won = {id_: "added" if id_ in hits.added else "in" for id_ in {*one.after} - both}
    return {
        "text": one.text,
        "overlap": one.overlap,
        "kept": one.kept,
        "depth": max(len(one.before), len(one.after)),
        "before": [
            _shown(hits.before[id_], lost.get(id_, ""), "gone" if id_ in lost else "", one.winner)
            for id_ in one.before
        ],
        "after": [
            _shown(hits.after[id_], won.get(id_, ""), "new" if id_ in won else "", one.winner)
            for id_ in one.after
        ],
    }


def _shown(product: Product, note: str = "", mood: str = "", winner: str = "") -> Shown:
    with Image.open(io.BytesIO(product.thumbnail)) as picture:
        small = jpeg_bytes(picture.convert("RGB"), _SIDE, _QUALITY)
    jpeg = base64.b64encode(small).decode("ascii")
    return Shown(
        title=product.title or product.caption or product.product_id,
        picture=f"data:image/jpeg;base64,{jpeg}",
        note=note,
        mood=mood,
        is_winner=product.product_id == winner,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
