"""The stage as a process: killed and run again, with a peer, and what it leaves in MLflow."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrieval.storage.files import sha256_file
from tests.pipelines.distill_project import ROOT, make_distill_project, set_distill

pytestmark = pytest.mark.slow
MODEL = "models/cycles/c1/model/open_clip_model.safetensors"
STATE = "models/cycles/c1/state.pt"
PATIENCE = 240  # seconds
LONG = {"epochs": 400, "train": "whole", "learning_rate": 0.001}


def _environment(folder):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    store = f"sqlite:///{folder.parent / 'mlflow.db'}"
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **threads, "MLFLOW_TRACKING_URI": store, "PATH": binaries}


def _start(folder, *command):
    return subprocess.Popen(
        command, cwd=folder, env=_environment(folder), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _run(folder, *command):
    process = _start(folder, *command)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said
    return said


def _stage(cycle="c1"):
    return [sys.executable, "-m", "pipelines.distill", cycle]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Equal projects, in folders of their own."""

    def project(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        make_distill_project(folder)
        set_distill(folder, changes)
        return folder

    return project


def _checkpoints(folder):
    return list((folder / "var/checkpoints").glob("distill@c1-*.pt"))


def test_killed_at_random_moments_it_ends_with_the_same_model(make):
    unbroken, broken = make("unbroken", **LONG), make("broken", **LONG)
    said = _run(unbroken, *_stage())
    assert "resumed" not in said
    rng = random.Random(4)
    kills = 0
    while kills < 2:
        process = _start(broken, *_stage())
        before = {path: path.stat().st_mtime_ns for path in _checkpoints(broken)}
        deadline = time.monotonic() + PATIENCE
        while {path: path.stat().st_mtime_ns for path in _checkpoints(broken)} == before:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        kills += 1
    assert not (broken / MODEL).exists()
    assert _checkpoints(broken)
    assert "resumed at step" in _run(broken, *_stage())
    assert not _checkpoints(broken)
    for file in (
        MODEL,
        STATE,
        "reports/curves/distill_c1.csv",
        "data/vectors/cycles/c1/products.parquet",
    ):
        assert sha256_file(broken / file) == sha256_file(unbroken / file), file


def _losses(folder):
    with (folder / "reports/curves/distill_c1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) for name in ("preference", "retention")] for row in rows]


def test_two_processes_have_the_losses_of_one(make):
    settings = {
        "epochs": 3, "train": "whole", "learning_rate": 0.001,
        "loss": "bradley-terry", "temperature": 20.0, "retention_weight": 0.1,
    }  # fmt: skip
    alone, pair = make("alone", **settings), make("pair", **settings)
    _run(alone, *_stage())
    torchrun = str(Path(sys.executable).parent / "torchrun")
    said = _run(pair, torchrun, "--nproc-per-node", "2", "-m", "pipelines.distill", "c1")
    assert said.count("cycle c1: ") == said.count("on known wishes") == 1
    one, two = _losses(alone), _losses(pair)
    assert len(one) == len(two) == 3 * 60 // 16 + 1
    for ours, theirs in zip(one, two, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-5, abs=1e-5)  # six digits are written
    assert len({tuple(row) for row in one}) > 5


def test_cycles_gather_under_one_run_with_curves(make, monkeypatch):
    import mlflow

    folder = make("logged", train="head")
    for cycle in ("c1", "c2"):
        _run(folder, *_stage(cycle))
    runs = {c: json.loads((folder / f"data/runs/{c}.json").read_text()) for c in ("c1", "c2")}
    assert runs["c1"]["parent_run_id"] == runs["c2"]["parent_run_id"]
    assert runs["c1"]["run_id"] != runs["c2"]["run_id"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _environment(folder)["MLFLOW_TRACKING_URI"])
    mlflow.set_tracking_uri(_environment(folder)["MLFLOW_TRACKING_URI"])
    client = mlflow.MlflowClient()
    assert client.get_run(runs["c1"]["parent_run_id"]).info.run_name == "distill"
    for cycle, steps in (("c1", 4), ("c2", 8)):
        run = client.get_run(runs[cycle]["run_id"])
        assert run.data.tags["mlflow.parentRunId"] == runs[cycle]["parent_run_id"]
        for name in ("preference", "retention", "learning_rate", "grad_norm",
                     "pictures_per_second"):  # fmt: skip
            history = client.get_metric_history(run.info.run_id, name)
            assert [point.step for point in history] == list(range(steps)), name
            assert all(point.value > 0 for point in history)


def test_after_an_early_stop_the_previous_model_passes_through(make):
    folder = make("stopped", train="head", patience=1)
    stopped = {"history": [0.9, 0.8], "stopped": True, "validation": {}}
    (folder / "metrics/cycles/c0.json").write_text(json.dumps(stopped))
    _run(folder, *_stage())
    base = folder / "models/cycles/c0/model/open_clip_model.safetensors"
    assert sha256_file(folder / MODEL) == sha256_file(base)
    metrics = json.loads((folder / "metrics/cycles/c1.json").read_text())
    assert metrics["stopped"]
    assert len(metrics["history"]) == 2
