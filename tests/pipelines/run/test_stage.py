"""How a stage ends where it cannot go on."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run.stage import stage_lock
from registry.errors import RegistryError, UnreachableError

ROOT = Path(__file__).parents[3]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/x.parquet")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UnreachableError("no answer"), 4, "base: no answer"),
        (RegistryError("it was deleted"), 1, "base: it was deleted"),
        (FULL, 1, "base: data/x.parquet: the disk is full: make room, and run it again"),
    ],
)
def test_what_mlflow_or_the_disk_refuses_is_a_line_and_the_lock_is_free_again(
    tmp_path, monkeypatch, capsys, error, status, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended, stage_lock("base"):
        raise error
    assert ended.value.code == status
    assert capsys.readouterr().err == f"{said}\n"
    with stage_lock("base"):
        pass


def test_a_lock_that_this_user_cannot_write_is_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refused(lock, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), lock.lock_file)

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    with pytest.raises(SystemExit) as ended, stage_lock("base"):
        pytest.fail("it has the lock")
    assert ended.value.code == 1
    assert "var/locks/base.lock: this user cannot write there" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a fault"), FileNotFoundError(2, "none", "data/y")])
def test_what_is_a_fault_of_the_code_or_of_its_input_passes_through(tmp_path, monkeypatch, error):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(type(error)), stage_lock("base"):
        raise error


def test_a_stage_without_its_mlflow_server_says_so(tmp_path):
    code = (
        "from pipelines.run.stage import stage_lock\n"
        "from registry.tracking import training_run\n"
        "with stage_lock('base'), training_run('base', {}, {}): pass"
    )
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": "postgresql://me:secret@127.0.0.1:9/mlflow",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("base: could not connect to the database at postgresql://me:***@")
    assert "check MLFLOW_TRACKING_URI" in line
