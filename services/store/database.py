"""The service's database: a file of SQLite, or the server that KINDRED_DB names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from registry.errors import NO_RIGHT, local_remedy, without_password

SETTING = "KINDRED_DB"
DEFAULT_FILE = Path("var/kindred.db")
_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATING = 0x6B696E64  # the number of PostgreSQL's lock: "kind"
_PATIENCE = 10.0  # seconds that a writer waits for another


class UnwritableError(Exception):
    """The database's file cannot be written; the message says what to do."""


def open_database(address: str | None = None) -> Engine:
    """Connect, and bring the tables up to date.

    Args:
        address: An SQLAlchemy URL; None for what KINDRED_DB says, else `var/kindred.db`.

    Raises:
        UnwritableError: It is a file that cannot be written: no right, or no room.
        ConnectionError: It does not answer, or the address is none.
    """
    url = address or os.environ.get(SETTING) or f"sqlite:///{DEFAULT_FILE}"
    try:
        engine = _engine(url)
        with _alone(engine):
            _migrate(engine)
    except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        if remedy := _remedy(url, error):
            msg = f"the database of concepts, {url}, cannot be written: {remedy}"
            raise UnwritableError(msg) from error
        msg = (
            f"the database of concepts cannot be opened ({_first_line(error)}); got {SETTING}"
            f" {url}, expected an address like sqlite:///var/kindred.db or"
            " postgresql+psycopg://user@host/database (which needs kindred[postgresql])"
        )
        raise ConnectionError(without_password(msg)) from error
    return engine


def _remedy(url: str, error: Exception) -> str | None:
    """What to do about a file of SQLite that cannot be written; None where that is not why."""
    if not url.startswith("sqlite"):
        return None
    if remedy := local_remedy(error):
        return remedy
    file = Path(make_url(url).database or ".").absolute()
    there = next(path for path in (file, *file.parents) if path.exists())
    return None if os.access(there, os.W_OK) else NO_RIGHT


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _PATIENCE})
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for setting in (
        "journal_mode=WAL",  # readers and one writer do not wait for each other
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what is deleted is overwritten
    ):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """One process migrates; the others wait, and find it done."""
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file:
        with FileLock(f"{file}.lock"):
            yield
    elif engine.dialect.name == "postgresql":
        lock = sqlalchemy.text("SELECT pg_advisory_xact_lock(:number)")
        with engine.begin() as connection:  # until its end, whatever goes wrong
            connection.execute(lock, {"number": _MIGRATING})
            yield
    else:
        yield


def _migrate(engine: Engine) -> None:
    """Bring the tables up to date, whole or not at all."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS.as_posix().replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def to_newest(revision: Any, _: object) -> Any:  # as Alembic's documentation has it
        return scripts._upgrade_revs("head", revision)

    environment = EnvironmentContext(config, scripts, fn=to_newest)
    with environment, engine.begin() as connection:
        if engine.dialect.name == "sqlite":  # Python's module begins at the first change of a row
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        environment.configure(connection)
        environment.run_migrations()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
