"""`kindred search`: check the request before anything is loaded, search, and say what was found."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.commands.errors import CommandError, Exit
from services.commands.hits import Found, Hit
from services.commands.registry_access import registry_access
from services.commands.tables import as_text


@dataclass(frozen=True)
class SearchRequest:
    """The verb's arguments, as they were typed."""

    text: str  # "" where a picture or a product is in its place
    image: str | None
    like: str | None
    mode: str
    categories: tuple[str, ...]
    concepts: tuple[str, ...]
    k: int
    name: str
    version: str | None
    grid: str | None
    offline: bool
    as_json: bool

    @property
    def subject(self) -> str:
        """What is looked for, in a line."""
        return self.text or self.image or f"like {self.like}"


def run_search(request: SearchRequest) -> str:
    """What to print; the contact sheet is written on the way.

    Raises:
        CommandError: A wrong argument (2), a damaged or missing version (1), or something that
            does not answer (4).
    """
    _check(request)
    found = _search_here(request) if request.offline else _ask_service(request)
    if request.grid is not None:
        _write_grid(request.subject, Path(request.grid), found.hits)
    return _json(request, found) if request.as_json else _lines(request, found)


def _check(request: SearchRequest) -> None:
    if request.text and not request.text.strip():
        raise _usage("got a blank text, expected what to look for, in quotes")
    given = [bool(request.text), request.image is not None, request.like is not None]
    if sum(given) != 1:
        raise _usage(f"got {sum(given)} of TEXT, --image and --like, expected one of them")
    if request.k < 1:
        raise _usage(f"got -k {request.k}, expected 1 at least")
    if request.grid is not None:
        _check_grid(Path(request.grid))
    for there, option in _misplaced(request):
        if there and request.offline:
            raise _usage(f"got {option} with --offline, which searches by a text alone")
    if not request.offline and (request.version or request.concepts):
        named = "--version" if request.version else "--concept"
        raise _usage(f"got {named} without --offline: the service searches with what it serves")


def _misplaced(request: SearchRequest) -> Sequence[tuple[object, str]]:
    """What only the service can do, as asked for, and its option."""
    return [
        (request.image, "--image"),
        (request.like, "--like"),
        (request.mode != "vector", "--mode"),
        (request.categories, "--category"),
    ]


def _check_grid(path: Path) -> None:
    if path.is_dir() or path.suffix.lower() != ".png":
        raise _usage(f"got --grid {path}, expected the name of a .png file")
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        raise _usage(f"got --grid {path}, but {target} is missing or not writable")


def _search_here(request: SearchRequest) -> Found:
    with registry_access():
        from registry.store import fetch_bundle
        from registry.versions import find_version

        version = find_version(request.name, request.version)
        bundle = fetch_bundle(version)
        unknown = [name for name in request.concepts if name not in bundle.concept_names]
        if unknown:
            known = ", ".join(bundle.concept_names) or "none: this version has no concepts"
            raise _usage(f"got --concept {unknown[0]!r}, expected one of: {known}")
        from services.commands.offline import search_bundle

        try:
            hits, warnings = search_bundle(bundle, request.text, request.concepts, request.k)
        except ValueError as error:
            raise _usage(str(error)) from error
    return Found(str(version.number), version.aliases, hits, tuple(warnings))


def _ask_service(request: SearchRequest) -> Found:
    from services.commands.online import search_service

    return search_service(_wanted(request), request.image, pictures=bool(request.grid))


def _wanted(request: SearchRequest) -> dict[str, Any]:
    """What the service is asked, in its words."""
    wanted = {
        "query": request.text or None,
        "like": request.like,
        "k": request.k,
        "mode": request.mode,
        "filter_": {"category": list(request.categories)},
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _write_grid(text: str, path: Path, hits: Sequence[Hit]) -> None:
    from services.commands.grid import draw_grid, save_grid

    try:
        save_grid(draw_grid(text, hits), path)
    except OSError as error:
        raise _usage(f"got --grid {path}, which cannot be written: {error}") from error


def _lines(request: SearchRequest, found: Found) -> str:
    aliases = f" ({', '.join(found.aliases)})" if found.aliases else ""
    lines = [f"{request.name} version {found.version}{aliases}: {request.subject}"]
    lines += [f"note: {warning}" for warning in found.warnings]
    hits = found.hits
    titles = max(len(hit.title) for hit in hits) if hits else 0
    for hit in hits:
        price = "-" if math.isnan(hit.price) else f"{hit.price:.2f}"
        lines.append(
            f"{hit.rank:>3}  {hit.score:.3f}  {hit.title:<{titles}}  {price:>9}  {hit.product_id}"
        )
    if request.grid is not None:
        lines.append(f"pictures: {request.grid}")
    return "\n".join(lines)


def _json(request: SearchRequest, found: Found) -> str:
    hits = [
        {
            "rank": hit.rank,
            "product_id": hit.product_id,
            "title": hit.title,
            "price": None if math.isnan(hit.price) else hit.price,
            "score": round(hit.score, 6),
        }
        for hit in found.hits
    ]
    return as_text(
        {
            "query": request.subject,
            "concepts": list(request.concepts),
            "model_version": found.version,
            "warnings": list(found.warnings),
            "hits": hits,
        }
    )


def _usage(message: str) -> CommandError:
    return CommandError(message, Exit.USAGE)
