"""Small files that training stages leave beside their models: curves and MLflow run ids."""

import csv
from collections.abc import Mapping, Sequence

from pipelines.run.paths import curves_file, run_file
from retrieval.storage.files import atomic_file, read_json, write_json


def write_curves(stage: str, curves: Mapping[str, Sequence[float]]) -> None:
    """Write curves of equal length as CSV, a row a step, for `dvc plots`."""
    with (
        atomic_file(curves_file(stage)) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["step", *curves])
        for step, values in enumerate(zip(*curves.values(), strict=True)):
            writer.writerow([step, *(f"{value:.6g}" for value in values)])


def write_run(stage: str, run_id: str, parent: str | None = None) -> None:
    """Leave the stage's MLflow run id: a stage that DVC restores makes no call to MLflow.

    Args:
        stage: The stage, or a cycle.
        run_id: Its run.
        parent: The run under which it gathers with others, if it does.
    """
    content = {"run_id": run_id} if parent is None else {"run_id": run_id, "parent_run_id": parent}
    write_json(run_file(stage), content)


def read_parent_run(stage: str) -> str | None:
    """The run under which a stage's own gathers, if it left one."""
    path = run_file(stage)
    parent: str | None = read_json(path).get("parent_run_id") if path.exists() else None
    return parent
