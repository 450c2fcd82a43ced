"""A new database of a server of PostgreSQL for each test."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The address of an empty database of a server; it is dropped when the block ends."""
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE kindred_test")
        yield f"{server}/kindred_test"
        connection.exec_driver_sql("DROP DATABASE kindred_test WITH (FORCE)")
    engine.dispose()
