"""MLflow's local database: made once, at home where it lies, read where it cannot be written."""

import atexit
import os
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from shutil import copyfile, rmtree
from urllib.parse import quote, unquote

from filelock import FileLock

from registry.errors import UnreachableError, explained
from registry.experiments import make_experiment
from registry.relocation import settle

_SQLITE = "sqlite:///"
# The byte of SQLite's header that says which format writers need; above 2 it takes no writes.
_WRITE_VERSION = 18
_PATIENCE = 60.0  # seconds, while another process writes


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite address; None for any other store."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def open_database(path: Path, uri: str, experiment: str) -> None:
    """Make the database if there is none, have its locations follow its tree, point MLflow at it.

    It is made under a file lock: MLflow's own creation fails when several processes start it at the
    same time. One that this user cannot write is read from a copy of it.

    Args:
        path: The database.
        uri: Its address.
        experiment: The one that every store has.

    Raises:
        UnreachableError: The database cannot be opened or created.
    """
    import mlflow

    try:
        if path.exists() and not is_writable(path):
            mlflow.set_tracking_uri(_read_only_copy(path, _stamp(path)))
            os.environ["MLFLOW_TRACKING_URI"] = uri  # MLflow puts the copy's there
            return
        mlflow.set_tracking_uri(uri)
        with FileLock(f"{path}.lock"):
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA journal_mode=WAL")  # halves the time of parallel writers
            with explained("open the database", uri):
                make_experiment(experiment)
            _settle(path, path)
    except (sqlite3.Error, OSError) as error:
        msg = f"could not open {uri}: {error}; check MLFLOW_TRACKING_URI and the folder's rights"
        raise UnreachableError(msg) from error


def is_writable(path: Path) -> bool:
    """Whether this user can write to a database, and to the log beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _settle(database: Path, place: Path) -> None:
    """Have the locations follow the folder of `place`, which `database` is or was copied from."""
    with closing(sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)) as connection:
        settle(connection, place.absolute().parent.resolve())


@cache
def _read_only_copy(path: Path, stamp: tuple[int, ...]) -> str:  # noqa: ARG001 -- one a state
    """The address of a copy that ends with this process; whoever writes to it is refused."""
    folder = Path(tempfile.mkdtemp(prefix="kindred."))
    atexit.register(rmtree, folder, ignore_errors=True)
    copy = folder / path.name
    source = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(source, uri=True)) as original,
            closing(sqlite3.connect(copy)) as target,
        ):
            original.backup(target)
    except sqlite3.OperationalError:  # without rights to its index no reader can open the log
        copy.unlink(missing_ok=True)
        for part in (path, _log(path)):
            if part.exists():
                copyfile(part, folder / part.name)
    with closing(sqlite3.connect(copy)) as target:
        target.execute("PRAGMA journal_mode=DELETE")
    _settle(copy, path)
    with copy.open("r+b") as file:
        file.seek(_WRITE_VERSION)
        file.write(b"\x03")
    return f"{_SQLITE}{quote(str(copy))}"


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the database does."""
    found = [part.stat() for part in (path, _log(path)) if part.exists()]
    return tuple(number for one in found for number in (one.st_mtime_ns, one.st_size))


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
