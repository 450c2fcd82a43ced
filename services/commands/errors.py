"""Exit codes of every verb, and the error that ends one with a single line."""

from enum import IntEnum


class Exit(IntEnum):
    """What a verb tells its caller."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    CONFLICT = 3
    UNREACHABLE = 4


class CommandError(Exception):
    """Ends a verb: one line for the person, one code for the caller."""

    def __init__(self, message: str, code: Exit) -> None:
        """Keep both."""
        super().__init__(message)
        self.code = code
