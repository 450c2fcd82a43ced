"""Where the version that is being registered comes from, by DVC's lock and what the stages left."""

import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.registration.account import read_account
from pipelines.registration.parts import made_of
from pipelines.run.code import code_digests
from pipelines.run.params import Params, Teacher
from pipelines.run.paths import BASE, run_file
from registry.dvc_lock import StageRecord, upstream_stages
from registry.git_state import read_git_state
from registry.lineage import Lineage, package_versions
from registry.versions import champion_number
from retrieval.storage.files import read_json, sha256_file

_STAGE = "pipelines/register.py"


def find_lineage(params: Params) -> Lineage:
    """The lineage of what lies in the working directory.

    Raises:
        FileNotFoundError: A stage has not left what it leaves.
        ValueError: What it left is not what its name says.
        UnreachableError: The registry does not answer.
    """
    stages = upstream_stages(Path("dvc.lock"), made_of(params), params.cycles)
    return Lineage(
        git=read_git_state(Path.cwd()),
        stages=stages,
        account=read_account(params, own_code(stages.values())),
        teacher=_settings(params.teacher),
        prompts=_prompts(params.teacher),
        runs=read_runs([BASE, *params.cycles, "concepts", "evaluate"]),
        parent=champion_number(params.registration.name),
        packages=package_versions(),
        python=platform.python_version(),
    )


def read_runs(stages: Iterable[str]) -> dict[str, str]:
    """The MLflow run id of each stage.

    Raises:
        FileNotFoundError: A stage has left none.
    """
    return {stage: read_json(run_file(stage))["run_id"] for stage in stages}


def own_code(stages: Iterable[StageRecord]) -> dict[str, str]:
    """SHA-256 of each file of the stage `register` that no stage before it depends on.

    DVC writes that stage's own record when it is over, which is too late for the lineage.
    """
    covered = {Path(dep) for stage in stages for dep in stage.deps}
    return {
        file: digest
        for file, digest in code_digests(_STAGE).items()
        if covered.isdisjoint([Path(file), *Path(file).parents])
    }


def _settings(teacher: Teacher) -> dict[str, Any]:
    """The kind of teacher, and the parameters of that kind alone."""
    return {"kind": teacher.kind, **getattr(teacher, teacher.kind).model_dump(mode="json")}


def _prompts(teacher: Teacher) -> dict[str, str] | None:
    """The prompts that it takes; None where it takes none."""
    if teacher.kind not in ("openai", "transformers"):
        return None
    return {path.as_posix(): sha256_file(path) for path in (teacher.prompt, teacher.complaint)}
