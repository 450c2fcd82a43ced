"""A run that is killed again and again ends where an unbroken one ends."""

import json
import os
import signal
import subprocess
import time

import pytest

# Where dvc and its stage are killed, and how many seconds into the stage.
KILLS = {"catalog": 4.0, "base": 12.0, "label@c1": 1.0, "distill@c1": 9.0, "register": 3.0}
PATIENCE = 600  # seconds


@pytest.fixture(scope="module")
def broken(make_project):
    """A run from an empty cache, killed in the middle of several stages, then left to finish."""
    project = make_project()
    for stage, seconds in KILLS.items():
        _kill_in(project, stage, seconds)
    project.run(*project.make_repro())
    return project


def _kill_in(project, stage, seconds):
    """Start the pipeline, and kill it with all its children in the middle of a stage."""
    lock, log = project.folder / f"var/locks/{stage}.lock", project.folder / "var/killed.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        run = subprocess.Popen(
            project.make_repro(),
            cwd=project.folder,
            env=project.env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE
    while not lock.exists():
        assert run.poll() is None, f"ended before {stage}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"{stage} did not start"
        time.sleep(0.05)
    time.sleep(seconds)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, f"{stage} was over before it could be killed"


def _numbers(folder):
    def walk(value, path):
        if isinstance(value, dict):
            return [pair for key, part in value.items() for pair in walk(part, f"{path}.{key}")]
        if isinstance(value, list):
            return [pair for at, part in enumerate(value) for pair in walk(part, f"{path}[{at}]")]
        return [(path, value)] if isinstance(value, int | float) else []

    files = sorted((folder / "metrics").glob("*.json"))
    return dict(pair for file in files for pair in walk(json.loads(file.read_text()), file.stem))


@pytest.mark.slow
def test_its_metrics_are_those_of_an_unbroken_run_with_the_same_seed(tiny, broken):
    expected = _numbers(tiny.folder)
    assert len(expected) > 100
    assert _numbers(broken.folder) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_it_registers_one_version_and_leaves_no_rubbish(broken):
    status = json.loads(broken.kindred("status", "--json").stdout)
    assert [version["aliases"] for version in status["versions"]] == [["challenger"]]
    assert status["versions"][0]["verdicts"] == {"labels": "passed", "retrieval": "passed"}
    done = broken.repro()
    assert "Data and pipelines are up to date" in done.stdout
