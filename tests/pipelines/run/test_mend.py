"""A DVC killed while it writes its own files is started again without a word from the user."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from pipelines.run.mend import ASIDE, LOCK, RWLOCK, main, readable_stages

WHOLE = """\
schema: '2.0'
stages:
  one:
    cmd: 'true'
    outs:
    - path: a
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 1
  two:
    cmd: 'true'
    deps:
    - path: a
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 1
"""
CUT = WHOLE[: WHOLE.rindex("md5:") + 2]
PIPELINE = """\
stages:
  one:
    cmd: 'true'
    outs: [a]
  two:
    cmd: 'true'
    deps: [a]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], check=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.mark.parametrize("cut", range(0, len(WHOLE) + 1, 7))
def test_every_prefix_leaves_only_stages_of_the_whole_file(cut):
    kept = (yaml.safe_load(readable_stages(WHOLE[:cut])) or {}).get("stages", {})
    whole = yaml.safe_load(WHOLE)["stages"]
    assert list(kept) == list(whole)[: len(kept)]
    for name in list(kept)[:-1]:
        assert kept[name] == whole[name]
    if cut > WHOLE.index("  two"):
        assert "one" in kept


def test_whole_files_stay_as_they_are(project, capsys):
    LOCK.write_text(WHOLE)
    RWLOCK.write_text("{}")
    main()
    assert LOCK.read_text() == WHOLE
    assert RWLOCK.read_text() == "{}"
    assert not ASIDE.exists()
    assert capsys.readouterr().out == ""


def test_a_project_in_which_nothing_ran_is_left_alone(project):
    main()
    assert not LOCK.exists()


def test_half_a_lock_is_cut_to_what_can_be_read_and_dvc_runs(project, capsys):
    LOCK.write_text(CUT)
    RWLOCK.write_text('{"write": {')
    refused = subprocess.run(["dvc", "status"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    main()
    assert list(yaml.safe_load(LOCK.read_text())["stages"]) == ["one"]
    assert (ASIDE / LOCK.name).read_text() == CUT
    assert not RWLOCK.exists()
    assert "dvc.lock was left by a DVC that was killed" in capsys.readouterr().out
    subprocess.run(["dvc", "status"], check=True)


def test_an_empty_lock_goes(project):
    LOCK.write_text("")
    main()
    assert not LOCK.exists()


@pytest.fixture
def zombie():
    """The number of a process that was killed and that nobody has collected."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    yield process.pid
    process.wait()


def test_the_locks_of_an_uncollected_process_go_and_dvc_runs(project, zombie, capsys):
    holder = {"pid": zombie, "cmd": "dvc repro"}
    path = str(project / "a")
    RWLOCK.write_text(json.dumps({"write": {path: holder}, "read": {path: [holder]}}))
    refused = subprocess.run(["dvc", "repro"], capture_output=True, text=True, check=False)
    assert f"(PID {zombie})" in refused.stderr
    main()
    assert json.loads(RWLOCK.read_text()) == {"write": {}, "read": {}}
    assert "rwlock was left by a DVC that was killed" in capsys.readouterr().out
    (project / "dvc.yaml").write_text(PIPELINE.replace("'true'", "touch a", 1))
    subprocess.run(["dvc", "repro", "one"], check=True)


def test_a_number_that_went_to_another_process_holds_nothing(project):
    holder = {"pid": os.getpid(), "cmd": "/bin/dvc repro of long ago"}
    RWLOCK.write_text(json.dumps({"write": {"a": holder}}))
    main()
    assert json.loads(RWLOCK.read_text()) == {"write": {}, "read": {}}


def test_the_locks_of_a_process_that_runs_stay(project, zombie):
    alive = {"pid": os.getpid(), "cmd": " ".join(psutil.Process().cmdline()[1:])}
    dead = {"pid": zombie, "cmd": "dvc repro"}
    whole = json.dumps({"write": {"a": alive}, "read": {"b": [alive]}})
    RWLOCK.write_text(whole)
    main()
    assert RWLOCK.read_text() == whole
    RWLOCK.write_text(json.dumps({"write": {"a": alive, "c": dead}, "read": {"b": [dead, alive]}}))
    main()
    assert json.loads(RWLOCK.read_text()) == json.loads(whole)
