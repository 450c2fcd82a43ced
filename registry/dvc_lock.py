"""The stages that made something, with the digests DVC recorded of what they read and wrote."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class StageRecord(BaseModel):
    """One stage of `dvc.lock`: digests by path, and parameters by file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deps: dict[str, str]
    params: dict[str, Any]
    outs: dict[str, str]


def upstream_stages(
    lock: Path, inputs: Iterable[str], cycles: Collection[str]
) -> dict[str, StageRecord]:
    """The stages whose outs hold one of `inputs`, and all stages before those.

    Args:
        lock: `dvc.lock`. A missing file gives no stages: the inputs were made without DVC.
        inputs: Paths, relative to the lock's folder.
        cycles: The cycles that there are. DVC leaves those that were taken out of the parameters
            in its lock, and a folder of all cycles leads to them as well.

    Raises:
        ValueError: The file is not what DVC writes.
    """
    if not lock.exists():
        return {}
    found = _read(lock)
    stages = {name: stage for name, stage in found.items() if _is_current(name, cycles)}
    reached: set[str] = set()
    wanted = list(inputs)
    while wanted:
        path = wanted.pop()
        makers = {name for name, stage in stages.items() if _makes(stage, path)}
        for name in makers - reached:
            reached.add(name)
            wanted.extend(stages[name].deps)
    return {name: stages[name] for name in sorted(reached)}


def _is_current(name: str, cycles: Collection[str]) -> bool:
    _, at, cycle = name.partition("@")
    return not at or cycle in cycles


def _makes(stage: StageRecord, path: str) -> bool:
    return any(overlap(PurePosixPath(path), PurePosixPath(out)) for out in stage.outs)


def overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether one path is the other, or lies in it."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _read(lock: Path) -> dict[str, StageRecord]:
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        return {name: _record(stage) for name, stage in stages.items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        msg = f"{lock}: got {error!r}, expected stages as DVC writes them; run `dvc repro` again"
        raise ValueError(msg) from error


def _record(stage: Mapping[str, Any]) -> StageRecord:
    return StageRecord(
        deps=_digests(stage.get("deps", [])),
        params=stage.get("params", {}),
        outs=_digests(stage.get("outs", [])),
    )


def _digests(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {entry["path"]: str(entry[entry.get("hash", "md5")]) for entry in entries}
