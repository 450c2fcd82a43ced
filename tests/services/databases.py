"""A server of PostgreSQL, Debian's, in a folder of its own."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

PATIENCE = 60  # seconds


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The address of a server, for as long as the block runs, without a database's name."""
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
            yield f"postgresql+psycopg://kindred@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The address of an empty database of a server; it is dropped when the block ends."""
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE kindred_test")
        yield f"{server}/kindred_test"
        connection.exec_driver_sql("DROP DATABASE kindred_test WITH (FORCE)")
    engine.dispose()
