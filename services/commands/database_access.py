"""The service's database as verbs reach it: one that does not open ends the verb with a line."""

from typing import TYPE_CHECKING

from services.commands.errors import CommandError, Exit

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def service_database() -> "Engine":
    """Open it.

    Raises:
        CommandError: It does not answer (4), or cannot be written (1).
    """
    from services.store.database import UnwritableError, open_database

    try:
        return open_database()
    except UnwritableError as error:
        raise CommandError(str(error), Exit.REFUSED) from error
    except ConnectionError as error:
        raise CommandError(str(error), Exit.UNREACHABLE) from error
