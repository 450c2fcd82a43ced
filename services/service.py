"""The service that BentoML runs: process, workers, health and metrics are BentoML's.

`kindred serve` starts it; by hand: bentoml serve services.service:Kindred
"""

import os
from pathlib import Path

import bentoml
from pydantic import TypeAdapter

from registry.versions import CHAMPION, Version
from retrieval.storage.files import atomic_file
from services.commands.serve_command import FOUND, NAME, VERSION
from services.environment import worker_count
from services.http.app import create_app
from services.search.live import Live, of_service
from services.search.source import Registered
from services.worker import OPTIONS, begin

_VERSION = TypeAdapter(Version)
_live = Live(Registered(os.environ.get(NAME, "kindred"), os.environ.get(VERSION, CHAMPION)))


@bentoml.service(workers=worker_count(), **OPTIONS)
@bentoml.asgi_app(create_app(_live), path="/")
class Kindred:
    """Opens the version that serves before the first request is let in."""

    def __init__(self) -> None:
        """Open it; seconds."""
        _live.swapped = _remember
        begin(_live, _found())

    def __is_ready__(self) -> bool:
        """For `/readyz`."""
        return _live.ready


def _found() -> Version | None:
    """What serves: as `kindred serve` found it, or as it was swapped in since, for a restart."""
    swapped = _swapped_in()
    found = swapped.read_bytes() if swapped.exists() else os.environ.get(FOUND)
    return _VERSION.validate_json(found) if found else None


def _remember(version: Version) -> None:
    with atomic_file(_swapped_in()) as draft:
        draft.write_bytes(_VERSION.dump_json(version))


def _swapped_in() -> Path:
    return of_service("swapped") / "version.json"
