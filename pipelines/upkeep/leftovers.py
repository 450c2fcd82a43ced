"""What runs of the pipeline left in var/ that no later run will read, for `kindred prune`.

`kindred` finds it by its entry point (group kindred.leftovers in pyproject.toml).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from pipelines.run.params import load_params
from pipelines.run.paths import run_file
from pipelines.run.stage import LOCKS
from registry.removal import Kept, Removal, bytes_below, remove_path
from retrieval.storage.journal import TEACHERS

PIPELINE = Path("dvc.yaml")
CHECKPOINTS = Path("var/checkpoints")  # as pipelines.training.state says, which imports torch
REGISTERING = Path("var/register")  # as pipelines.register says
SYNCING = Path("var/sync/work")  # as pipelines.sync.run says
_DIGITS = 16  # of a checkpoint's digest: <stage>-<digest>.pt


def find_leftovers() -> Iterator[Removal | Kept]:
    """Journals of stages that there are no more, checkpoints of runs that are over, half bundles.

    A journal of a stage that there is stays, whatever is in it: its replies were paid for.

    Raises:
        SystemExit: params.yaml cannot be read.
        ValueError: dvc.yaml cannot be read.
    """
    yield from _half_bundles()
    if not PIPELINE.exists():  # no checkout: nothing says what is still needed
        return
    stages = read_stages()
    yield from _journals({stage.partition("@")[0] for stage in stages})
    yield from _checkpoints(stages)


def read_stages() -> set[str]:
    """The stages of the pipeline, as `dvc repro` takes them: `catalog`, `distill@c1`.

    Raises:
        SystemExit: params.yaml cannot be read.
        ValueError: dvc.yaml cannot be read.
    """
    try:
        content: Any = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
        stages = dict(content["stages"])
    except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        msg = f"{PIPELINE} cannot be read ({error}); `git diff {PIPELINE}` shows what changed"
        raise ValueError(" ".join(msg.split())) from error
    cycles = load_params().cycles
    return {
        f"{name}@{cycle}" if cycle else name
        for name, stage in stages.items()
        for cycle in (cycles if "foreach" in stage else [""])
    }


def _half_bundles() -> Iterator[Removal]:
    for path, what, lock in (
        (REGISTERING, "registration", "register.lock"),
        (SYNCING, "sync", "sync.lock"),
    ):
        if path.exists():
            yield _guarded("leftover", path, f"of a {what} that was killed", LOCKS / lock)


def _journals(stages: set[str]) -> Iterator[Removal]:
    for path in sorted(TEACHERS.glob("*.jsonl")):
        if path.stem not in stages:
            why = f"{PIPELINE} has no stage {path.stem} that reads it"
            yield _guarded("journal", path, why, path.with_name(f"{path.name}.lock"))


def _checkpoints(stages: set[str]) -> Iterator[Removal]:
    """All but the last of a stage that was killed and has not ended since."""
    by_age = sorted(CHECKPOINTS.glob("*-*.pt"), key=lambda path: path.stat().st_mtime)
    newest = {_stage_of(path): path for path in by_age}
    for path in sorted(by_age):
        stage = _stage_of(path)
        if stage not in stages:
            why = f"{PIPELINE} has no stage {stage}"
        elif run_file(stage.partition("@")[2]).exists():
            why = f"{stage} has ended since"
        elif newest[stage] != path:
            why = f"there is a newer one of {stage}"
        else:
            continue
        yield _guarded("checkpoint", path, why, CHECKPOINTS / f"{stage}.lock")


def _stage_of(path: Path) -> str:
    return path.stem[: -_DIGITS - 1]


def _guarded(kind: str, path: Path, why: str, lock: Path) -> Removal:
    """A removal that leaves alone what somebody holds the lock of."""
    return Removal(kind, str(path), bytes_below(path), why, partial(_remove, path, lock))


def _remove(path: Path, lock: Path) -> bool:
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            return remove_path(path)
    except Timeout:
        return False
