"""The service's database: a file of SQLite, and a server of PostgreSQL where it is installed."""

import os
import pwd
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from services.store.concepts import ConceptStore
from services.store.database import open_database

PATIENCE = 60  # seconds


@pytest.fixture(scope="session")
def postgresql():
    """The address of a server of PostgreSQL, Debian's, in a folder of its own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    owner = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not pytest's own folder: nobody but its owner gets through that.
    with tempfile.TemporaryDirectory(prefix="kindred-") as folder:
        if owner:
            os.chown(folder, pwd.getpwnam(owner).pw_uid, -1)

        def run(program, *arguments):
            subprocess.run(
                [programs[-1] / program, *arguments, "-D", f"{folder}/data"],
                check=True,
                timeout=PATIENCE,
                cwd=folder,
                user=owner,
                stdout=subprocess.DEVNULL,
            )

        run("initdb", "-U", "kindred", "--auth=trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql+psycopg://kindred@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def address(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/kindred.db"
    return request.getfixturevalue("postgresql")


@pytest.fixture
def database(address):
    opened = open_database(address)
    yield opened
    with opened.begin() as connection:
        connection.exec_driver_sql("DELETE FROM concepts")
    opened.dispose()


@pytest.fixture
def store(database):
    return ConceptStore(database)
