"""A tree that was moved or copied takes its local MLflow store along.

MLflow records where artifacts lie as absolute paths, and rewrites none of them when the folder
moves: a moved tree would write to where it was, a copy into the original. So the database notes
the folder that it lies in, and when that is another one, every location below the former folder
becomes the same below the present one, in one transaction. What lies elsewhere (s3:, http:,
mlflow-artifacts:, folders outside) stays as it is.
"""

import logging
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

PLACE = "kindred.place"  # a tag of an experiment: the folder that the locations belong to
RUNS = "mlruns"  # MLflow's folder for artifacts, in the working directory
_EXPERIMENTS = ("experiments", "artifact_location", "1")
# table, column, and which rows: where MLflow keeps locations. What an older or a newer MLflow does
# not have is passed over.
_LOCATIONS = (
    _EXPERIMENTS,
    ("runs", "artifact_uri", "1"),
    ("logged_models", "artifact_location", "1"),
    ("model_versions", "source", "1"),
    ("model_versions", "storage_location", "1"),
    ("trace_tags", "value", "key IN ('mlflow.artifactLocation', 'mlflow.trace.archiveLocation')"),
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Move:
    """From where to where a tree was moved or copied."""

    former: Path
    here: Path
    known: bool = True  # False: the former folder is a guess, of a store that has no note

    def relocate(self, location: str | None) -> str | None:
        """A location below the former folder as the same below this one; any other as it is."""
        rest = self._rest(location)
        if location is None or rest is None:
            return location
        there = str(self.here / rest)
        if location.startswith("file:"):
            return f"file://{quote(there)}"
        return there.replace("%", "%25")  # MLflow reads %20 in a path as a space

    def relocate_kept(self, location: str | None) -> str | None:
        """As `relocate`, but what lies at its old place alone stays; for a guessed folder.

        Without the note, a moved tree wrote what came after the move to where it had been.
        """
        after = self.relocate(location)
        if self.known or after == location:
            return after
        old, new = _local_path(location), _local_path(after)
        only_there = old and new and Path(old).exists() and not Path(new).exists()
        return location if only_there else after

    def _rest(self, location: str | None) -> str | None:
        """The path below the former folder; None for a location that is not below it."""
        path, former = _local_path(location), str(self.former).rstrip("/")
        if location is None or path is None:
            return None
        if location.startswith(f"{former}/"):  # as MLflow records a folder with % in its name
            path = former + unquote(location.removeprefix(former))
        for known in (path, os.path.realpath(path)):
            if known == former:
                return ""
            if known.startswith(f"{former}/" if former else f"/{RUNS}/"):
                return known.removeprefix(former).lstrip("/")
        return None


def settle(database: sqlite3.Connection, here: Path) -> int:
    """Have a store's locations follow the folder that it lies in; one query if they do.

    Only where `here` is the working tree or holds the artifacts: a database that was moved away
    from its artifacts keeps their locations.

    Args:
        database: A connection to MLflow's database, with its tables.
        here: The folder that the database lies in.

    Returns:
        How many locations changed.

    Raises:
        sqlite3.Error: The database cannot be written; nothing has changed.
    """
    if _noted(database) == str(here) and "%" not in str(here):
        return 0
    if Path.cwd() != here and not (here / RUNS).is_dir():
        return 0
    database.execute("BEGIN IMMEDIATE")
    try:
        noted = _noted(database)
        former = Path(noted) if noted else _first_place(database)
        changed = 0
        # MLflow itself records a folder with a % in its name as if that were encoded: it is mended.
        if former is not None and (former != here or "%" in str(here)):
            changed = _rewrite(database, Move(former, here, known=noted is not None))
        if noted != str(here):
            _note(database, here)
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    if changed and former != here:
        _LOG.warning("%s was moved or copied here: %d locations follow", former, changed)
    return changed


def _noted(database: sqlite3.Connection) -> str | None:
    query = "SELECT value FROM experiment_tags WHERE key = ? ORDER BY experiment_id LIMIT 1"
    row = database.execute(query, (PLACE,)).fetchone()
    return str(row[0]) if row else None


def _note(database: sqlite3.Connection, here: Path) -> None:
    database.execute("DELETE FROM experiment_tags WHERE key = ?", (PLACE,))
    database.execute(
        "INSERT INTO experiment_tags (key, value, experiment_id)"
        " SELECT ?, ?, min(experiment_id) FROM experiments HAVING count(*) > 0",
        (PLACE, str(here)),
    )


def _first_place(database: sqlite3.Connection) -> Path | None:
    """Where the working tree was when MLflow made the database, by its first experiment."""
    query = "SELECT experiment_id, artifact_location FROM experiments ORDER BY experiment_id"
    number, location = database.execute(query).fetchone() or (None, None)
    path = location if location and location.startswith("/") else _local_path(location)
    ending = f"/{RUNS}/{number}"
    return Path(path.removesuffix(ending) or "/") if path and path.endswith(ending) else None


def _rewrite(database: sqlite3.Connection, move: Move) -> int:
    database.create_function("relocate", 1, move.relocate)
    database.create_function("relocate_kept", 1, move.relocate_kept)
    changed = 0
    for table, column, rows in _LOCATIONS:
        known = database.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
        if (column,) not in known:
            continue
        # Where an experiment writes next is here in any case.
        new = f"{'relocate' if table == _EXPERIMENTS[0] else 'relocate_kept'}({column})"
        local = f"({column} LIKE '/%' OR {column} LIKE 'file:%') AND {column} <> {new}"
        update = f"UPDATE {table} SET {column} = {new} WHERE {rows} AND {local}"  # noqa: S608
        changed += database.execute(update).rowcount
    return changed


def _local_path(location: str | None) -> str | None:
    """The path that MLflow makes of a local location; None for any other."""
    if location is None:
        return None
    if location.startswith("/"):
        return unquote(location)
    if not location.startswith("file:"):
        return None
    parts = urlsplit(location)
    return unquote(parts.path) if parts.netloc in ("", "localhost") else None
