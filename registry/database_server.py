"""Whether the database server that MLflow is to use answers, before MLflow tries for minutes."""

from functools import cache

from registry.errors import UnreachableError, explained, without_password

_PATIENCE = 10  # seconds; MLflow alone tries for a hundred
_SERVERS = ("postgresql", "mysql")


@cache
def require_database(uri: str) -> None:
    """Connect once, where the address is a PostgreSQL's or a MySQL's; any other passes.

    Raises:
        UnreachableError: It does not answer, or its driver is not installed.
    """
    if not uri.startswith(_SERVERS):
        return
    from sqlalchemy import create_engine

    with explained("connect to the database", uri):
        try:
            engine = create_engine(uri, connect_args={"connect_timeout": _PATIENCE})
        except ModuleNotFoundError as error:
            msg = (
                f"got {without_password(uri)}, whose driver {error.name} is not installed: install"
                " it, or name one that is, as in postgresql+psycopg://"
            )
            raise UnreachableError(msg) from error
        engine.connect().close()
        engine.dispose()
