"""`kindred serve`: find out whether there is something to serve, then run BentoML."""

import errno
import gc
import importlib
import os
import runpy
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import disk_usage, rmtree
from tempfile import TemporaryFile

import click

from services.commands.errors import CommandError, Exit
from services.commands.keys_command import any_key
from services.commands.registry_access import registry_access
from services.environment import SERVING, WORKERS, thread_share
from services.search.precision import text_precision
from services.search.processes import PARENT
from services.sharing.keys import REQUIRED
from services.sharing.keys import SETTING as KEYS

# How `services.service` hears of the arguments: BentoML starts processes that know nothing of them.
NAME = "KINDRED_NAME"
VERSION = "KINDRED_VERSION"
FOUND = "KINDRED_FOUND"  # the version as JSON: to ask MLflow again would cost three seconds
LOOK_EVERY = 1.0  # seconds between two looks at the workers
MOST_WORKERS = 64
SPARE = 4_000_000  # bytes that a service writes beside: concepts, counters, logs
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ServeRequest:
    """The verb's arguments, as they were typed."""

    name: str
    version: str | None
    host: str
    port: int
    workers: int


def run_serve(request: ServeRequest) -> None:
    """Make this process BentoML's; it returns when the service has ended.

    Raises:
        CommandError: There is nothing to serve, or no room or right to write (1), no such version
            (2), a host that others reach without keys (2), or the registry or the database does not
            answer (4).
    """
    if not 1 <= request.workers <= MOST_WORKERS:
        msg = f"got --workers {request.workers}, expected 1 to {MOST_WORKERS}"
        raise CommandError(msg, Exit.USAGE)
    if not 0 < request.port < 65536:
        msg = f"got --port {request.port}, expected 1 to 65535"
        raise CommandError(msg, Exit.USAGE)
    try:
        text_precision()
    except ValueError as error:
        raise CommandError(str(error), Exit.USAGE) from error
    os.environ[WORKERS] = str(request.workers)  # before the service is imported
    keys = any_key()
    if not keys and request.host not in LOOPBACK:
        msg = (
            f"got --host {request.host}, expected one of {', '.join(LOOPBACK)}: without keys"
            " anybody who reaches it could ask; make one with `kindred keys add NAME`"
        )
        raise CommandError(msg, Exit.USAGE)
    found = _prepare(request)
    from registry.versions import CHAMPION

    os.environ |= {
        NAME: request.name,
        VERSION: request.version or CHAMPION,
        FOUND: found,
        PARENT: str(os.getpid()),
        KEYS: REQUIRED if keys else "",  # a worker that starts later finds them revoked, perhaps
    }
    for name, value in {**SERVING, **thread_share(request.workers)}.items():
        os.environ.setdefault(name, value)
    _look_often()
    by = "1 worker" if request.workers == 1 else f"{request.workers} workers"
    click.echo(f"serving {request.name} at http://{request.host}:{request.port} with {by}")
    gc.enable()  # from here on this process stays
    sys.argv = [
        "bentoml", "serve", "services.service:Kindred",
        "--host", request.host, "--port", str(request.port),
    ]  # fmt: skip
    try:
        runpy.run_module("bentoml", run_name="__main__", alter_sys=True)
    finally:
        _tidy_up()


def _tidy_up() -> None:
    """Remove what the workers of this service shared."""
    from services.search.live import PRIVATE

    for shared in PRIVATE.glob(f"{os.getpid()}.*"):
        rmtree(shared, ignore_errors=True)


def _look_often() -> None:
    """Have BentoML's supervisor notice a worker that was killed within a second, not ten.

    Circus' own default is a second; BentoML sets ten, since a look during the start is refused (and
    logged), and has no setting for it.
    """
    from bentoml._internal.utils import circus

    circus.create_standalone_arbiter = partial(
        circus.create_standalone_arbiter, check_delay=LOOK_EVERY
    )


def _prepare(request: ServeRequest) -> str:
    """Find the version, have its files and collections here, or say that they cannot be had.

    The service does it again, and finds them; its errors would come from a worker's log. MLflow is
    two seconds of imports, so another process looks, while this one imports what BentoML needs.

    Returns:
        The version as JSON.
    """
    os.environ |= {
        "BENTOML_HOME": os.environ.get("BENTOML_HOME") or str(Path("var/bentoml").absolute()),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with registry_access(), ProcessPoolExecutor(1) as aside:
        version = aside.submit(_find, request.name, request.version)
        _make_folders()
        for module in ("bentoml_cli.cli", "services.service"):
            importlib.import_module(module)
        found = version.result()
        _hold_room(request.workers)
        return found


def _make_folders() -> None:
    """What the service writes in, here: a worker that cannot is started again and again."""
    from services.search.live import PRIVATE

    for folder in (Path(os.environ["BENTOML_HOME"]), PRIVATE):
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()


def _hold_room(workers: int) -> None:
    """Find out whether each worker's copy of a version's collections has room.

    Raises:
        OSError: It has none.
    """
    from registry.removal import bytes_below
    from retrieval.index.store import default_uri
    from services.search.live import PRIVATE

    each = max((bytes_below(path) for path in Path(default_uri()).glob("*.db")), default=0)
    if disk_usage(PRIVATE).free < workers * 2 * each + SPARE:  # the student's, and the base's
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(PRIVATE))


def _find(name: str, wanted: str | None) -> str:
    from pydantic import TypeAdapter

    from registry.catalogue_index import ensure_collections
    from registry.store import fetch_bundle
    from registry.versions import CHAMPION, Version, find_version

    version = find_version(name, wanted or CHAMPION)
    ensure_collections(fetch_bundle(version))
    return TypeAdapter(Version).dump_json(version).decode()
