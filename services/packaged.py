"""The service of a package: `bentoml serve kindred:TAG`, made by `kindred package`.

It serves the one version that lies in BentoML's Model Store. No registry is asked: nothing here
imports mlflow.
"""

import os
from pathlib import Path

import bentoml
import psutil

from registry.packaged_model import MODEL
from services.environment import QUIET, SERVING, thread_share, worker_count
from services.http.app import create_app
from services.search.live import Live
from services.search.source import Packaged
from services.worker import OPTIONS, begin

_TELEMETRY = {"BENTOML_DO_NOT_TRACK": "True"}


def _model() -> Path:
    return Path(bentoml.models.get(MODEL).path)


def _settings() -> list[dict[str, str]]:
    """For BentoML's workers and its container, where they are not set already."""
    # BentoML's own process has read nothing of this yet when it imports this module.
    for name, value in _TELEMETRY.items():
        os.environ.setdefault(name, value)
    settings = {**_TELEMETRY, **QUIET, **SERVING, **thread_share(worker_count())}
    return [{"name": name, "value": value} for name, value in settings.items()]


_live = Live(Packaged(_model))


@bentoml.service(workers=worker_count(), envs=_settings(), **OPTIONS)
@bentoml.asgi_app(create_app(_live, own_machine=True), path="/")
class Kindred:
    """Opens the package's version before the first request is let in."""

    def __init__(self) -> None:
        """Open it; the first start in a folder writes the collections there: seconds."""
        # BentoML puts its workers into the Bento's folder; files belong where it was started.
        os.chdir(psutil.Process(os.getppid()).cwd())
        begin(_live)

    def __is_ready__(self) -> bool:
        """For `/readyz`."""
        return _live.ready
