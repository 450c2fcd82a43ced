"""The service that BentoML runs: process, workers, health and metrics are BentoML's.

`kindred serve` starts it; by hand: bentoml serve services.service:Kindred
"""

import os
import signal
import threading
import time
from pathlib import Path

import bentoml
from pydantic import TypeAdapter

from registry.versions import CHAMPION, Version
from retrieval.startup import without_garbage_collection
from retrieval.storage.files import atomic_file
from services.commands.serve_command import FOUND, NAME, VERSION, WORKERS
from services.http.app import create_app
from services.http.deadlines import LONGEST
from services.http.logs import configure_logs
from services.search.live import Live, of_service

_VERSION = TypeAdapter(Version)
_live = Live(os.environ.get(NAME, "kindred"), os.environ.get(VERSION, CHAMPION))


@bentoml.service(
    name="kindred",
    workers=int(os.environ.get(WORKERS, "1")),
    traffic={"timeout": 2 * int(LONGEST)},  # BentoML's own 504 says nothing: ours comes first
    metrics={"enabled": False},  # ours are at /metrics; BentoML's label every path
    logging={"access": {"enabled": False}},  # a line a request costs more than a search in it
)
@bentoml.asgi_app(create_app(_live), path="/")
class Kindred:
    """Opens the version that serves before the first request is let in."""

    def __init__(self) -> None:
        """Open it; seconds."""
        configure_logs()
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        _live.swapped = _remember
        with without_garbage_collection():
            _live.start(_found())

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


def _end_with(parent: int) -> None:
    """End this worker when its parent has gone: it has a session of its own, and would serve on."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
