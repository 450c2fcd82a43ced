"""The pipeline run again in a work tree, with data, cache and MLflow of its own.

The parameters are the version's, whatever the commit says; the catalogue is linked in where git
does not hold it; what teachers said is copied, so that nobody pays twice.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from registry.dvc_lock import overlap
from registry.errors import RefusedError
from registry.lineage import Lineage
from registry.work_tree import Report, WorkTree
from retrieval.storage.journal import TEACHERS

PARAMS = "params.yaml"
LOCK = "dvc.lock"
# What would lead stages out of the tree: another registry, another Milvus, other code.
_LEFT_OUT = ("MILVUS_URI", "KINDRED_DB", "PYTHONSAFEPATH")
# What DVC advises at the end of a run that is to be committed and pushed; this one is not.
_ADVICE = ("To track the changes", "\tgit add", "To enable auto", "\tdvc config", "Use `dvc push`")
# What the Makefile sets, where it says why: else training takes up to three times as long.
_AS_MAKE_REPRO = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "GOMP_SPINCOUNT": "1000",
}


@dataclass(frozen=True)
class Change:
    """A value that was one thing then, and is another here."""

    name: str
    was: Any
    now: Any


def environment(tree: WorkTree, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of DVC and the stages: `python` is this one, its code the tree's."""
    kept = {
        name: value
        for name, value in given.items()
        if not name.startswith(("MLFLOW_", "GIT_")) and name not in _LEFT_OUT
    }
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join(filter(None, [programs, given.get("PATH")]))
    # Before the checkout, of which the environment has an editable install.
    code = os.pathsep.join(filter(None, [str(tree.folder), given.get("PYTHONPATH")]))
    own = {
        "PATH": path,
        "PYTHONPATH": code,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tree.folder}/mlflow.db",
        "DVC_SITE_CACHE_DIR": str(tree.home / "site"),
        "DVC_NO_ANALYTICS": "1",
    }
    return {**_AS_MAKE_REPRO, **kept, **own}


def use_own_cache(tree: WorkTree) -> None:
    """Nothing is restored that was computed before, and nothing stays."""
    config = f"[core]\n    check_update = false\n[cache]\n    dir = {tree.home / 'cache'}\n"
    folder = tree.folder / ".dvc"
    folder.mkdir(exist_ok=True)
    (folder / "config.local").write_text(config, encoding="utf-8")


def use_parameters(tree: WorkTree, lineage: Lineage) -> list[Change]:
    """Put the version's parameters into the tree; those that the commit has otherwise."""
    path = tree.folder / PARAMS
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    changes = []
    for name, value in sorted(parameters(lineage).items()):
        *around, key = name.split(".")
        section = content
        for part in around:
            section = section.setdefault(part, {})
        changes += _differences(name, section.get(key), value)
        section[key] = value
    if changes:
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return changes


def copy_journals(tree: WorkTree) -> int:
    """Copy what teachers said to the checkout's stages; how many files that are."""
    journals = sorted(TEACHERS.glob("*.jsonl"))
    (tree.folder / TEACHERS).mkdir(parents=True, exist_ok=True)
    for journal in journals:
        shutil.copyfile(journal, tree.folder / TEACHERS / journal.name)
    return len(journals)


def changed_inputs(tree: WorkTree, lineage: Lineage, env: Mapping[str, str]) -> dict[str, str]:
    """What the stages read that no stage makes, and that is not what the version was made from.

    Returns:
        `modified`, `deleted` or `new` by path; a stage that the commit lacks is `no such stage`.

    Raises:
        RefusedError: DVC cannot say.
    """
    lock = tree.folder / LOCK
    lock.write_text(yaml.safe_dump(_as_lock(lineage)), encoding="utf-8")
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(  # noqa: S603 - fixed arguments
        command, cwd=tree.folder, env=dict(env), capture_output=True, text=True, check=False
    )
    lock.unlink()
    if done.returncode:
        msg = f"the commit is no project that DVC can run: {' '.join(done.stderr.split())}"
        raise RefusedError(msg)
    status = json.loads(done.stdout)
    lacking = {f"stage {name}": "no such stage" for name in lineage.stages if name not in status}
    return dict(sorted(_changed(status, lineage))) | lacking


def link_catalogue(tree: WorkTree, folder: Path) -> None:
    """Put the checkout's catalogue into the place of the tree's.

    Raises:
        RefusedError: There is none, or its place lies outside the work tree's own folder.
    """
    source, target = folder.absolute(), Path(os.path.normpath(tree.folder / folder))
    if not source.is_dir():
        msg = f"{folder} is missing, the catalogue that the version was made from: put it back"
        raise RefusedError(msg)
    if target == source:  # an absolute path
        return
    if not target.is_relative_to(tree.home):
        msg = (
            f"got the catalogue {folder}, which lies outside the project: give catalog.folder as"
            " an absolute path in params.yaml, and register a version that was made so"
        )
        raise RefusedError(msg)
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def run_pipeline(tree: WorkTree, env: Mapping[str, str], report: Report) -> bool:
    """Run all stages, with DVC's own lines as they come; whether they all did."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=tree.folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # a Ctrl-C is ours alone: it ends all of them
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() and not line.startswith(_ADVICE):
                    report(line.rstrip())
            return process.wait() == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def parameters(lineage: Lineage) -> dict[str, Any]:
    """The parameters that made the version, by dotted names; sections are whole."""
    found: dict[str, Any] = {}
    for stage in lineage.stages.values():
        found |= stage.params.get(PARAMS, {})
    return {name: value for name, value in found.items() if not _is_within(name, found)}


def _is_within(name: str, others: Mapping[str, Any]) -> bool:
    return any(name.startswith(f"{other}.") for other in others)


def _differences(name: str, now: Any, was: Any) -> list[Change]:
    if isinstance(was, Mapping) and isinstance(now, Mapping) and was.keys() == now.keys():
        return [one for key in was for one in _differences(f"{name}.{key}", now[key], was[key])]
    return [] if was == now else [Change(name, was, now)]


def _as_lock(lineage: Lineage) -> dict[str, Any]:
    """What `dvc.lock` said when the version was made, as far as `dvc status` compares it."""
    return {
        "schema": "2.0",
        "stages": {
            name: {
                "cmd": "",
                "deps": _entries(stage.deps),
                "params": stage.params,
                "outs": _entries(stage.outs),
            }
            for name, stage in lineage.stages.items()
        },
    }


def _entries(digests: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"path": path, "hash": "md5", "md5": digest} for path, digest in digests.items()]


def _changed(status: Mapping[str, Any], lineage: Lineage) -> Iterator[tuple[str, str]]:
    outs = [PurePosixPath(path) for stage in lineage.stages.values() for path in stage.outs]
    for name in lineage.stages.keys() & status.keys():
        for entry in status[name]:
            deps = entry.get("changed deps", {}) if isinstance(entry, dict) else {}
            for path, state in deps.items():
                if path == PARAMS:
                    yield from ((f"parameter {key}", str(kind)) for key, kind in state.items())
                elif not any(overlap(PurePosixPath(path), out) for out in outs):
                    yield path, str(state)
