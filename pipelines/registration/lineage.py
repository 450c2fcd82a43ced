"""Where the version that is being registered comes from, by DVC's lock and what the stages left."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.registration.account import read_account
from pipelines.run.code import code_digests
from pipelines.run.params import Params, Teacher
from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    CONCEPTS,
    EVALUATION,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    RETRIEVAL_VERDICT,
    STUDENT_MODEL,
    TOURNAMENTS_FILE,
    cycle_model,
    label_verdict,
    product_vectors,
    rankings_file,
    run_file,
)
from registry.dvc_lock import StageRecord, upstream_stages
from registry.lineage import Lineage, TeacherRecord, collect_lineage
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
    account = read_account(params, own_code(stages.values()))
    lineage = collect_lineage(
        project=Path.cwd(),
        stages=stages,
        teacher=_teacher(params.teacher),
        runs=read_runs([BASE, *params.cycles, "concepts", "evaluate"]),
        parent=champion_number(params.registration.name),
    )
    return lineage.model_copy(update={"account": account})


def made_of(params: Params) -> list[str]:
    """What the version is put together from: the stages that made these, made the version."""
    vectors = [product_vectors("student"), product_vectors(BASE), PERSONA_VECTORS, CAPTION_VECTORS]
    last = list(params.cycles)[-1]  # the rankings of earlier cycles are in it
    tables = [PRODUCTS_FILE, PERSONAS_FILE, TOURNAMENTS_FILE, rankings_file(last)]
    verdicts = [*map(label_verdict, params.cycles), RETRIEVAL_VERDICT]
    parts = (STUDENT_MODEL, cycle_model(BASE), *vectors, *tables, CONCEPTS, EVALUATION, *verdicts)
    return [path.as_posix() for path in parts]


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


def _teacher(teacher: Teacher) -> TeacherRecord:
    """The kind of teacher, the parameters of that kind alone, and the prompts that it takes."""
    settings = {"kind": teacher.kind, **getattr(teacher, teacher.kind).model_dump(mode="json")}
    if teacher.kind not in ("openai", "transformers"):
        return TeacherRecord(settings, None)
    files: Sequence[Path] = (teacher.prompt, teacher.complaint)
    return TeacherRecord(settings, {path.as_posix(): sha256_file(path) for path in files})
