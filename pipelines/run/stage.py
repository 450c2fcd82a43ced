"""What every stage shares: how it starts, its lock, its seed, its progress bar."""

import argparse
import gc
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from filelock import FileLock, Timeout
from tqdm import tqdm

from pipelines.run.params import load_params
from registry.errors import RegistryError, UnreachableError, explain_os_error, os_remedy

LOCKS = Path("var/locks")
UNREACHABLE = 4  # as `kindred`'s verbs end

Item = TypeVar("Item")


@contextmanager
def stage_lock(name: str) -> Iterator[None]:
    """Hold the stage's lock: a killed `dvc repro` leaves its child running, and DVC's own lock not.

    What MLflow or the disk refuses inside ends the stage with a line that says what to do.

    Raises:
        SystemExit: Another process runs the stage, MLflow refuses, or the disk is full or cannot be
            written (status 1); MLflow does not answer (4).
    """
    with _told(name):
        LOCKS.mkdir(parents=True, exist_ok=True)
        lock = FileLock(LOCKS / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            msg = (
                f"stage {name} is running in another process; wait for it, or end it, and run again"
            )
            raise SystemExit(msg) from error
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _told(name: str) -> Iterator[None]:
    """End the stage with a line where MLflow or the disk refuses."""
    try:
        yield
    except RegistryError as error:
        _end(f"{name}: {error}", UNREACHABLE if isinstance(error, UnreachableError) else 1, error)
    except OSError as error:
        if os_remedy(error) is None:
            raise
        _end(f"{name}: {explain_os_error(error)}", 1, error)


def _end(message: str, status: int, error: Exception) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise SystemExit(status) from error


def run_stage(main: Callable[..., None], *arguments: str) -> None:
    """Run a stage as a program.

    The million objects that its imports made are not searched for garbage, neither now and then
    nor when the program ends: that took two seconds of a short stage.
    """
    gc.freeze()
    try:
        main(*arguments)
    finally:
        gc.freeze()


def derive_seed(seed: int, *parts: str) -> int:
    """A seed in [0, 2^63) for one use, independent of every other use's, from the run's seed."""
    digest = hashlib.sha256("/".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def progress(items: Iterable[Item], label: str, total: int | None = None) -> "tqdm[Item]":
    """Iterate with a progress bar on standard error; none where that is no terminal."""
    return tqdm(items, desc=label, total=total, disable=not sys.stderr.isatty(), leave=False)


def cycle_argument(description: str | None) -> str:
    """The command line of a per-cycle stage: the cycle, one of those in params.yaml."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cycle", choices=list(load_params().cycles))
    return str(parser.parse_args().cycle)


def conclude(passed: bool, summary: str, page: Path) -> None:
    """Say what a gate found, and where its page is.

    Raises:
        SystemExit: It did not pass (status 1), said on standard error.
    """
    message = f"{summary}\nreport: {page.as_posix()}"
    if not passed:
        sys.stderr.write(f"{message}\n")
        raise SystemExit(1)
    say(message)


def say(message: str) -> None:
    """Tell the user what a stage did, on standard output."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()
