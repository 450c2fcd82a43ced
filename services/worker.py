"""What the two services that BentoML runs have in common: `service.py`, a package's `packaged.py`.

BentoML starts each worker as a process that knows nothing of the command line.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from registry.versions import Version
from retrieval.startup import without_garbage_collection
from services.http.deadlines import LONGEST
from services.http.logs import configure_logs
from services.search.live import Live
from services.search.processes import parent

OPTIONS: Mapping[str, Any] = {
    "name": "kindred",
    "traffic": {"timeout": 2 * int(LONGEST)},  # BentoML's own 504 says nothing: ours comes first
    "metrics": {"enabled": False},  # ours are at /metrics; BentoML's label every path
    "logging": {"access": {"enabled": False}},  # a line a request costs more than a search in it
}


def begin(live: Live, version: Version | None = None) -> None:
    """Open what this worker serves, seconds; from now on it ends when its parent does.

    Args:
        live: What is to serve.
        version: Where it is known already; None to look.
    """
    configure_logs()
    threading.Thread(target=_end_with, args=(parent(),), daemon=True).start()
    with without_garbage_collection():
        live.start(version)


def _end_with(starter: int) -> None:
    """End this worker with its starter: it has a session of its own, and would serve on."""
    while os.getppid() == starter:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
