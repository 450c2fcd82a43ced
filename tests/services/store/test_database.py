"""Opening the database: tables appear once, whole or not at all, however many workers start."""

import errno
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations.ops import DropIndexOp

from services.store.database import UnwritableError, open_database
from services.store.tables import Table


def _differences(database):
    from alembic.autogenerate import compare_metadata

    with database.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Table.metadata)
    return [one for one in found if not isinstance(one, DropIndexOp)]


def test_the_migrations_make_the_tables_that_the_code_reads(database):
    assert _differences(database) == []


def test_opening_again_changes_nothing(address, database):
    with database.connect() as connection:
        before = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
    again = open_database(address)
    with again.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() == before
    again.dispose()


def test_many_workers_start_at_once(tmp_path):
    address = f"sqlite:///{tmp_path}/kindred.db"
    with ThreadPoolExecutor(6) as workers:
        opened = list(workers.map(open_database, [address] * 6))
    assert all(_differences(database) == [] for database in opened)


def test_half_a_migration_leaves_nothing(tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path}/kindred.db"
    make, made = op.create_table, []

    def fail_at_the_second(name, *columns):
        made.append(name)
        if len(made) == 2:
            raise OSError("the power went")
        return make(name, *columns)

    monkeypatch.setattr(op, "create_table", fail_at_the_second)
    with pytest.raises(ConnectionError, match="the power went"):
        open_database(address)
    assert sa.inspect(sa.create_engine(address)).get_table_names() == []
    monkeypatch.undo()
    assert _differences(open_database(address)) == []


def test_the_file_of_kindred_db_else_of_var(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KINDRED_DB", raising=False)
    open_database().dispose()
    assert (tmp_path / "var/kindred.db").is_file()
    monkeypatch.setenv("KINDRED_DB", f"sqlite:///{tmp_path}/50%/other.db")
    open_database().dispose()
    assert (tmp_path / "50%/other.db").is_file()


def test_a_full_disk_is_said_with_its_remedy(tmp_path, monkeypatch):
    def full(*_):
        raise sa.exc.OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("services.store.database._migrate", full)
    with pytest.raises(UnwritableError) as raised:
        open_database(f"sqlite:///{tmp_path}/kindred.db")
    assert "cannot be written: the disk is full: make room, and run it again" in str(raised.value)


@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES])
def test_where_nobody_can_write_it_is_said_what_to_do(tmp_path, monkeypatch, fault):
    def forbidden(*_):
        raise OSError(fault, os.strerror(fault), "kindred.db.lock")

    monkeypatch.setattr("services.store.database.FileLock", forbidden)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UnwritableError, match=r"kindred.db, cannot be written: .* \(cp -r\)"):
        open_database(f"sqlite:///{tmp_path}/kindred.db")


@pytest.mark.parametrize(
    "address",
    [
        "no address",
        "sqlite:////proc/none/kindred.db",
        "postgresql+psycopg://kindred:secret@127.0.0.1:9/none",
        "mysql+nothing://kindred:secret@127.0.0.1/none",
    ],
)
def test_what_cannot_be_opened_is_told_without_its_password(address):
    with pytest.raises(ConnectionError, match=r"got KINDRED_DB .*, expected an address") as raised:
        open_database(address)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
