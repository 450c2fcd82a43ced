"""Labelling that is killed again and again: the same tables, and nothing paid for twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from retrieval.storage.journal import read_journal
from tests.end_to_end.label_project import ROOT, ChatServer, add_dvc, make_label_project, outputs

pytestmark = pytest.mark.slow
CONCURRENCY = 4
PATIENCE = 60  # seconds
STAGE = [sys.executable, "-m", "pipelines.label", "c1"]
ENV = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}


def _start(command, folder):
    return subprocess.Popen(
        command, cwd=folder, env=ENV, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _finish(folder):
    done = subprocess.run(STAGE, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _journaled(folder):
    """What the journal holds, by the server's own digests."""
    path = folder / "var/teacher/label.jsonl"
    return {json.loads(record["raw"])["asked"] for record in read_journal(path)}


def _wait(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {PATIENCE} s"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    with ChatServer() as server:
        folder = make_label_project(tmp_path_factory.mktemp("unbroken"), server.url)
        said = _finish(folder)
        return outputs(folder), Counter(server.asked), said


def test_an_unbroken_run_asks_each_question_once(unbroken):
    _, asked, said = unbroken
    assert set(asked.values()) == {1}
    assert f"{sum(asked.values())} calls, 0 without a label" in said


@pytest.mark.parametrize("above", ["the stage alone", "dvc above it, and the stage"])
def test_killed_at_ten_moments_it_ends_the_same_and_asks_nothing_twice(tmp_path, unbroken, above):
    """What was under way at a kill had no reply; it is asked again, and nothing else is."""
    tables, asked, _ = unbroken
    rng = random.Random(above)
    command = STAGE if above == "the stage alone" else ["dvc", "repro", "--quiet", "label"]
    kept = []  # at each kill: how many requests had arrived, and what was in the journal
    with ChatServer(seconds=0.1) as server:
        folder = make_label_project(tmp_path, server.url)
        add_dvc(folder)
        for _ in range(10):
            run = _start(command, folder)
            enough = len(server.asked) + rng.randint(1, 15)
            _wait(lambda: len(server.asked) >= enough, "requests")  # noqa: B023 -- called here
            time.sleep(rng.uniform(0, 0.1))
            os.killpg(run.pid, signal.SIGKILL)
            assert run.wait() == -signal.SIGKILL
            time.sleep(0.3)  # until the server has answered into the void
            kept.append((len(server.asked), _journaled(folder)))
        _finish(folder)
        log = server.asked
    assert outputs(folder) == tables
    assert set(log) == set(asked)
    for arrived, journaled in kept:
        assert journaled.isdisjoint(log[arrived:])
    assert len(log) - len(set(log)) <= 10 * CONCURRENCY
    lost = [arrived - len(journaled) for arrived, journaled in kept]
    assert all(b - a <= CONCURRENCY for a, b in zip([0, *lost], lost, strict=False))
