"""The registry as a verb meets it: quiet, patient for seconds only, its errors as exit codes."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from services.commands.errors import CommandError, Exit
from services.environment import QUIET

_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own 7 take four minutes to say no
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@contextmanager
def registry_access() -> Iterator[None]:
    """Run what is inside against the registry.

    Raises:
        CommandError: The registry refused (1), knows no such version (2), is being changed by
            somebody else (3), or it or Milvus is unreachable (4).
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.update(QUIET)
    from registry.errors import (
        ConflictError,
        RegistryError,
        UnknownVersionError,
        UnreachableError,
        explain_os_error,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' remarks to each other
        try:
            yield
        except (UnreachableError, ConnectionError) as error:
            raise CommandError(str(error), Exit.UNREACHABLE) from error
        except ConflictError as error:
            raise CommandError(str(error), Exit.CONFLICT) from error
        except UnknownVersionError as error:
            raise CommandError(str(error), Exit.USAGE) from error
        except RegistryError as error:
            raise CommandError(str(error), Exit.REFUSED) from error
        except BrokenPipeError:  # of the output: the verb knows what that means
            raise
        except OSError as error:  # the cache of bundles cannot be written, say
            raise CommandError(explain_os_error(error), Exit.REFUSED) from error
