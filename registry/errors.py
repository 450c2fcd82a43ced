"""What can go wrong between Kindred and the registry, in words that say what to do."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# MLflow wraps it into the pool, its address, the retries and the request.
_CAUSE = re.compile(r"\[Errno -?\d+\] ([^\"'\])]+)|(Read timed out)")
_BODY = re.compile(r" Response body: .*")
# A password may hold anything but blanks; after a host's port comes the path, or nothing.
_LOGIN = re.compile(r"(?<=://)([^:@/\s]*):(?!\d+(?:[/\s]|$))\S*@")
_IN_QUERY = re.compile(r"(?<=[?&])((?:password|token)=)[^&\s]+", re.IGNORECASE)
_NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})
_NO_ROOM = "the disk is full: make room, and run it again"
NO_RIGHT = "this user cannot write there: make it writable, or work in a copy of the tree (cp -r)"
# What libraries pass on from a local database and from folders, and what to do about it.
_LOCAL = {
    "disk is full": _NO_ROOM,
    "No space left on device": _NO_ROOM,
    "Disk quota exceeded": _NO_ROOM,
    "readonly database": NO_RIGHT,
    "Read-only file system": NO_RIGHT,
}


class RegistryError(Exception):
    """The registry refuses, or does not hold what was asked for."""


class UnknownVersionError(RegistryError):
    """There is no such model, version or alias."""


class RefusedError(RegistryError):
    """A version does not fulfil what promotion asks of it; the message lists why."""


class ConflictError(RegistryError):
    """Somebody else changes the registry at the same time."""


class UnreachableError(RegistryError):
    """The registry does not answer."""


def os_remedy(error: OSError) -> str | None:
    """What to do about a full disk or a missing right; None for anything else."""
    if error.errno in _FULL:
        return _NO_ROOM
    return NO_RIGHT if error.errno in _FORBIDDEN else local_remedy(error)


def explain_os_error(error: OSError) -> str:
    """One line about a file that could not be read or written, with what to do."""
    remedy, place = os_remedy(error), _place(error)
    return f"{place}: {remedy}" if remedy and place else str(error)


def _place(error: OSError) -> str | None:
    """What could not be written; of a copy not what was read."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][1])  # of a folder's copy: the first file
    return error.filename2 or error.filename or error.strerror


def local_remedy(error: Exception) -> str | None:
    """What to do about a full disk or a missing right that a library passes on; None for others."""
    return next((remedy for said, remedy in _LOCAL.items() if said in str(error)), None)


@contextmanager
def explained(action: str, address: str) -> Iterator[None]:
    """Turn MLflow's exceptions into this module's.

    Args:
        action: What is being done: "look up version 3 of kindred".
        address: The registry's address.

    Raises:
        UnknownVersionError: MLflow knows no such thing. A missing alias and a missing model come
            as different error codes.
        RegistryError: The database cannot be written: read-only, or the disk is full.
        UnreachableError: Anything else that MLflow reports, or that the ways to its server and to
            its database do past it.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        if remedy := local_remedy(error):
            msg = f"could not {action} at {address}: {remedy}"
            raise RegistryError(without_password(msg)) from error
        if error.error_code in _NOT_THERE:
            reason = str(error).strip().splitlines()[0]
            msg = f"could not {action}: {reason}; MLflow's page (`mlflow ui`) shows what there is"
            raise UnknownVersionError(without_password(msg)) from error
        raise _unreachable(action, address, error) from error
    except (RequestException, SQLAlchemyError) as error:
        raise _unreachable(action, address, error) from error


def _unreachable(action: str, address: str, error: Exception) -> UnreachableError:
    msg = (
        f"could not {action} at {address}: {_reason(error)}; check MLFLOW_TRACKING_URI, and that"
        " the MLflow server or database answers"
    )
    return UnreachableError(without_password(msg))


def without_password(address: str) -> str:
    """An address, or a text with some, as it may be shown: `postgresql://kindred:***@host/mlflow`.

    Whoever prints an address, or what a library says of one, passes it through this.
    """
    return _IN_QUERY.sub(r"\1***", _LOGIN.sub(r"\1:***@", address))


def _reason(error: Exception) -> str:
    """The cause in a few words, where it is known; else the first line of what was said."""
    said = str(error).strip()
    if found := _CAUSE.search(said):
        return str(found[1] or found[2])
    return _BODY.sub("", said.splitlines()[0]) if said else repr(error)
