"""What can go wrong between Kindred and the registry, in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

_NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})


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


@contextmanager
def explained(action: str, address: str) -> Iterator[None]:
    """Turn MLflow's exceptions into this module's.

    Args:
        action: What is being done: "look up version 3 of kindred".
        address: The registry's address.

    Raises:
        UnknownVersionError: MLflow knows no such thing. A missing alias and a missing model come
            as different error codes.
        UnreachableError: Anything else that MLflow reports.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0]
        if error.error_code in _NOT_THERE:
            msg = f"could not {action}: {reason}; `kindred status` lists what there is"
            raise UnknownVersionError(msg) from error
        msg = (
            f"could not {action} at {address}: {reason}; check MLFLOW_TRACKING_URI,"
            " and that the MLflow server or database answers"
        )
        raise UnreachableError(msg) from error
