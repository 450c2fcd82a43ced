"""`kindred feedback`: what users chose, as a file of labels."""

from pathlib import Path

from services.commands.database_access import service_database
from services.commands.errors import CommandError, Exit


def write_feedback(path: Path) -> str:
    """Write all tenants' choices, and say what to do with them.

    Raises:
        CommandError: The database does not answer (4), or the file cannot be written (1).
    """
    from services.sharing.feedback import write_choices
    from services.store.feedback import FeedbackStore

    if path.suffix != ".csv":
        msg = f"got {path}, expected a name that ends in .csv"
        raise CommandError(msg, Exit.USAGE)
    database = service_database()
    try:
        given = FeedbackStore(database).read_all()
        count = write_choices(path, given)
    except OSError as error:
        msg = f"{path} cannot be written ({error.strerror or error}); name another"
        raise CommandError(msg, Exit.REFUSED) from error
    finally:
        database.dispose()
    return (
        f"{count} choices from {len(given)} answers in {path}; next: teacher.kind: file and"
        f" teacher.file.path: {path} in params.yaml (docs/labelling.md)"
    )
