"""`kindred reproduce`: a version made again from its commit, beside the checkout."""

import json
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

pytestmark = pytest.mark.slow

PATIENCE = 120  # seconds
# Version 1 with another lineage: as if it had been made at another commit.
OTHER_LINEAGE = """
import json, shutil, sys
from pathlib import Path
from registry.checksums import write_sums
from registry.store import fetch_bundle, register_bundle
from registry.versions import find_version

bundle, other = fetch_bundle(find_version("kindred", "1")), Path("var/other")
shutil.rmtree(other, ignore_errors=True)
shutil.copytree(bundle.folder, other)
lineage = json.loads((other / "lineage.json").read_text())
lineage["git"]["commit"] = sys.argv[1]
lineage["teacher"]["of"] = "another version"
(other / "lineage.json").write_text(json.dumps(lineage))
write_sums(other)
print(register_bundle(other, "kindred").version.number)
"""


@pytest.fixture(scope="module")
def project(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce") / "project"
    shutil.copytree(tiny.folder, folder, symlinks=True)
    return tiny.__class__(folder)


def _nothing_is_left(project):
    homes = project.folder / "var/reproduce"
    running = [p for p in psutil.process_iter(["cwd"]) if str(homes) in (p.info["cwd"] or "")]
    trees = project.run("git", "worktree", "list").stdout.splitlines()
    return list(homes.iterdir()) == [] and not running and len(trees) == 1


def test_a_version_comes_out_byte_for_byte(project):
    before = [project.run("git", "status", "--porcelain").stdout, project.kindred("status").stdout]
    done = project.kindred("reproduce", "1", "--json")
    found = json.loads(done.stdout)
    assert found["likeness"] == "equal", found
    assert found["finished"]
    assert found["same_digest"]
    assert {output["likeness"] for output in found["outputs"]} == {"equal"}
    made = {output["path"] for output in found["outputs"]}
    assert {"models/student", "data/vectors/student", "metrics/evaluate.json"} <= made
    assert (found["metrics"], found["packages"]) == ([], [])
    assert "Running stage 'distill@c2'" in done.stderr
    assert "replies were copied" in done.stderr
    after = [project.run("git", "status", "--porcelain").stdout, project.kindred("status").stdout]
    assert after == before
    assert _nothing_is_left(project)


def test_a_commit_that_is_not_here_is_named_before_anything_runs(project):
    lost = "c0ffee" * 6 + "c0ff"
    number = project.run(sys.executable, "-c", OTHER_LINEAGE, lost).stdout.split()[-1]
    done = project.kindred("reproduce", number, check=False)
    assert done.returncode == 1
    assert lost in done.stderr
    assert "git fetch" in done.stderr
    assert "Running stage" not in done.stderr


def test_what_cannot_be_asked_for(project):
    assert project.kindred("reproduce", "77", check=False).returncode == 2
    project.env["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    assert project.kindred("reproduce", "1", check=False).returncode == 4
    del project.env["MLFLOW_TRACKING_URI"]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(project, by):
    verb = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "reproduce", "1"],
        cwd=project.folder, env=project.env, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    # A shell has what it starts in the background ignore SIGINT, and that is passed on.
    for line in verb.stderr:
        if "> python -m pipelines.catalog" in line:
            break
    verb.send_signal(by)
    assert verb.wait(PATIENCE) == 130
    assert _nothing_is_left(project)
