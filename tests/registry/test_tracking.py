import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from registry import tracking

CONNECT = """\
from registry import tracking
tracking.connect()
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
with tracking.training_run("base", params={}, inputs={}) as run_id:
    print(run_id)
"""


def test_a_run_holds_parameters_inputs_and_curves(mlflow_home: Path) -> None:
    params = {"base": {"epochs": 3, "pretrained": None}, "edges": [1, 2], "kind": "x"}
    with tracking.training_run("base", params=params, inputs={"data/x": "ab"}) as run_id:
        tracking.log_curve("loss", [3.0, 2.0, 1.0])
        tracking.log_metrics({"caption": {"recall@1": 0.5, "ci95": [0, 1]}, "concept": None})
    run = mlflow.get_run(run_id)
    assert run.data.params == {
        "base.epochs": "3",
        "base.pretrained": "null",
        "edges": "[1, 2]",
        "kind": "x",
    }
    assert (run.info.run_name, run.info.status) == ("base", "FINISHED")
    assert run.data.tags["kindred.stage"] == "base"
    assert run.data.tags["git_commit"] == "none"
    assert run.data.metrics == {"loss": 1.0, "caption.recall_at_1": 0.5}
    history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/inputs.json") == {"data/x": "ab"}
    assert mlflow.get_experiment(run.info.experiment_id).name == "kindred"


def test_files_are_kept_as_artifacts(mlflow_home: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text(name)
    with tracking.training_run("evaluate", params={}, inputs={}) as run_id:
        tracking.log_files([tmp_path / "a.csv", tmp_path / "b.json"])
    kept = Path(mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=str(tmp_path / "out")))
    assert {path.name for path in kept.iterdir()} == {"a.csv", "b.json", "inputs.json"}
    assert (kept / "a.csv").read_text() == "a.csv"


def test_a_stage_that_fails_leaves_a_failed_run(mlflow_home: Path) -> None:
    with pytest.raises(SystemExit), tracking.training_run("base", params={}, inputs={}) as run_id:
        raise SystemExit("no")
    assert mlflow.get_run(run_id).info.status == "FAILED"


def test_runs_gather_under_a_parent_that_is_made_once(mlflow_home: Path) -> None:
    parent = tracking.parent_run("distill", None)
    assert tracking.parent_run("distill", parent) == parent
    with tracking.training_run("distill@c1", params={}, inputs={}, parent=parent) as run_id:
        pass
    assert mlflow.get_run(run_id).data.tags["mlflow.parentRunId"] == parent
    assert mlflow.get_run(parent).info.status == "FINISHED"
    another = tracking.parent_run("distill", "0" * 32)  # of a store that is no more
    assert another not in (parent, "0" * 32)


@pytest.mark.slow
def test_four_processes_create_the_database_at_once(tmp_path: Path) -> None:
    kept_out = ("MLFLOW_TRACKING_URI", "PYTEST_CURRENT_TEST", "CI")
    environment = {k: v for k, v in os.environ.items() if k not in kept_out}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CONNECT],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 4
    assert [err for _, err in answers] == [""] * 4
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
