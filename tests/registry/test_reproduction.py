"""What is said of a version that was made again; the pipeline itself is a stand-in here."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from registry import originals, reproduction, rerun
from registry.bundle import open_bundle
from registry.dvc_lock import StageRecord, upstream_stages
from registry.errors import RefusedError
from registry.git_state import GitState
from registry.reproduction import reproduce
from registry.rerun import environment, link_catalogue, use_parameters
from registry.versions import Version
from registry.work_tree import WorkTree
from tests.registry.conftest import LINEAGE, METRICS

PARAMS = {"seed": 0, "catalog": {"source": "studio", "folder": "photos"}, "distill": {"epochs": 8}}
OUTS = {
    "models/student": {"weights": b"w", "config.json": b'{"scale": 0.5}'},
    "data/personas.parquet": b"personas",
    "metrics/evaluate.json": json.dumps(METRICS).encode(),
    "reports/page.html": b"at noon",
}


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def listing(files):
    entries = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
    return json.dumps(entries).encode()


def digest(content):
    return f"{md5(listing(content))}.dir" if isinstance(content, dict) else md5(content)


def write(path, content):
    if isinstance(content, dict):
        for name, part in content.items():
            write(path / name, part)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def git(*arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def made(tmp_path, monkeypatch, changed):
    """Makes a version's lineage, in a project with a commit and DVC's cache of what it wrote."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    Path(".gitignore").write_text("/var/\n/.dvc/\n")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "c")
    for content in OUTS.values():
        parts = [*content.values(), listing(content)] if isinstance(content, dict) else [content]
        for part in parts:
            end = ".dir" if isinstance(content, dict) and part == parts[-1] else ""
            name = md5(part) + end
            write(Path(".dvc/cache/files/md5") / name[:2] / name[2:], part)
    # DVC would say the same, after seconds.
    monkeypatch.setattr(originals, "cache_folder", lambda: Path(".dvc/cache"))

    def make(**lineage):
        stage = StageRecord(
            deps={}, params={"params.yaml": PARAMS}, outs={p: digest(c) for p, c in OUTS.items()}
        )
        here = GitState(commit=git("rev-parse", "HEAD"), clean=True, note="")
        bundle = changed(**{"git": here, "stages": {"all": stage}, **lineage})
        monkeypatch.setattr(reproduction, "fetch_bundle", lambda _: open_bundle(bundle))
        return Version("kindred", 1, "d" * 64, "run", datetime(2026, 1, 1, tzinfo=UTC), (), {}, {})

    return make


@pytest.fixture
def again(monkeypatch):
    """Runs the pipeline's stand-in, which writes what a test says."""

    def run(version, written, state=None):
        def pipeline(tree, env, report):
            for path, content in written.items():
                write(tree.folder / path, content)
            outs = [{"path": p, "hash": "md5", "md5": digest(c)} for p, c in written.items()]
            lock = {"schema": "2.0", "stages": {"all": {"cmd": "", "outs": outs}}}
            (tree.folder / "dvc.lock").write_text(yaml.safe_dump(lock))
            return len(written) == len(OUTS)

        monkeypatch.setattr(reproduction, "run_pipeline", pipeline)
        monkeypatch.setattr(reproduction, "changed_inputs", lambda *_: state or {})
        return reproduce(version, os.environ, keep=False, report=lambda _: None)

    return run


def found(done):
    return {output.path: (output.likeness, output.note) for output in done.outputs}


def test_equal_but_for_what_names_hours(made, again):
    done = again(made(), {**OUTS, "reports/page.html": b"at one"})
    assert done.likeness == "equal"
    assert set(found(done).values()) == {("equal", "")}
    assert done.left_out == ["reports/page.html"]
    assert (done.metrics, done.notes) == ([], [])
    assert list(Path("var/reproduce").iterdir()) == []


def test_other_digits_are_rounding_and_other_bytes_are_not(made, again):
    student = {"weights": b"w", "config.json": b'{"scale": 0.5000001}'}
    done = again(made(), {**OUTS, "models/student": student})
    assert (done.likeness, found(done)["models/student"][0]) == ("rounding", "rounding")
    done = again(made(), {**OUTS, "models/student": {**student, "weights": b"v"}})
    assert done.likeness == "differs"
    assert found(done)["models/student"] == ("differs", "1 of 2 files: weights")
    done = again(made(), {**OUTS, "models/student": {"weights": b"w"}})
    assert found(done)["models/student"] == ("differs", "other files: config.json")


def test_a_metric_that_differs_is_named_with_both_numbers(made, again):
    metrics = json.loads(json.dumps(METRICS))
    metrics["persona"]["student"]["mean_percentile"] = 0.9
    metrics["persona"]["base"]["mean_percentile"] += 1e-7
    done = again(made(), {**OUTS, "metrics/evaluate.json": json.dumps(metrics).encode()})
    assert done.likeness == "differs"
    assert [(c.name, c.was, c.now) for c in done.metrics] == [
        ("persona.student.mean_percentile", 0.95, 0.9)
    ]


def test_what_was_not_made_is_said_and_the_run_is_no_success(made, again):
    done = again(made(), {"models/student": OUTS["models/student"]})
    assert (done.finished, done.likeness) == (False, "differs")
    assert found(done)["data/personas.parquet"] == ("differs", "it was not made")


def test_what_is_not_in_the_cache_any_more_cannot_be_within_rounding(made, again):
    version = made()
    cached = md5(OUTS["data/personas.parquet"])
    (Path(".dvc/cache/files/md5") / cached[:2] / cached[2:]).unlink()
    done = again(version, {**OUTS, "data/personas.parquet": b"other"})
    assert found(done)["data/personas.parquet"] == (
        "differs", "what it was is not in DVC's cache here"
    )  # fmt: skip


def test_other_packages_are_named(made, again):
    done = again(made(packages={"numpy": "1.0", "gone": "2.0"}, python="2.7"), OUTS)
    assert {(c.name, c.was) for c in done.packages} == {
        ("numpy", "1.0"), ("gone", "2.0"), ("python", "2.7")
    }  # fmt: skip
    assert {c.name: c.now for c in done.packages}["gone"] is None


def test_a_tree_with_changes_says_what_cannot_be_brought_back(made, again):
    dirty = GitState(commit=git("rev-parse", "HEAD"), clean=False, note="")
    done = again(made(git=dirty), OUTS, {"retrieval": "modified"})
    assert "retrieval is not what the version was made from" in done.notes[0]
    assert "no commit has" in done.notes[1]
    done = again(made(git=dirty, parent=None), OUTS)
    assert "all files by their digests" in done.notes[0]


def test_beside_a_champion_the_verdict_is_not_compared(made, again):
    done = again(made(parent=7), OUTS)
    assert "version 7" in done.notes[0]


@pytest.mark.parametrize(
    ("lineage", "said"),
    [
        ({"git": GitState(commit=None, clean=None, note="")}, "not made in a git repository"),
        ({"stages": {}}, "not made by DVC"),
        ({"git": LINEAGE.git}, "got commit c0ffee"),
    ],
)
def test_without_its_origin_it_is_refused(made, again, lineage, said):
    with pytest.raises(RefusedError, match=said):
        again(made(**lineage), OUTS)


def test_another_catalogue_is_refused_and_the_right_one_is_linked(made, again, monkeypatch):
    params = {**PARAMS, "catalog": {"source": "folder", "folder": "photos"}}
    stage = StageRecord(deps={"photos": "abc.dir"}, params={"params.yaml": params}, outs={})
    version = made(stages={"catalog": stage})
    with pytest.raises(RefusedError, match="photos is missing"):
        again(version, OUTS, {"photos": "deleted"})
    write(Path("photos/a.jpg"), b"a")
    with pytest.raises(RefusedError, match=r"photos is not the catalogue .* abc\.dir"):
        again(version, OUTS, {"photos": "modified"})


STAGES = """
stages:
  catalog:
    cmd: python make.py
    deps: [photos, make.py]
    params: [catalog]
    outs: [list.txt]
"""
MAKE = """
from pathlib import Path
names = sorted(path.name for path in Path("photos").iterdir())
Path("list.txt").write_text(" ".join(names))
"""


@pytest.mark.slow
def test_with_dvc_itself_a_catalogue_that_git_does_not_hold(made, monkeypatch):
    """Linked and compared by DVC's digest; then a photo is added, and code that no commit has."""
    params = {**PARAMS, "catalog": {"source": "folder", "folder": "photos"}}
    for name, text in {
        "dvc.yaml": STAGES, "make.py": MAKE, "params.yaml": yaml.safe_dump(params),
        ".dvc/config": "", ".gitignore": "/var/\n/list.txt\n/photos/\n/.dvc/cache\n/.dvc/tmp\n",
    }.items():  # fmt: skip
        write(Path(name), text.encode())
    for photo in ("a.jpg", "deep/b.jpg"):
        write(Path("photos") / photo, b"p")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], check=True)
    git("add", "--all")
    git("commit", "--quiet", "-m", "run")
    stages = upstream_stages(Path("dvc.lock"), ["list.txt"], [])
    version, said = made(stages=stages), []
    monkeypatch.setattr(reproduction, "EVALUATION", "none.json")
    done = reproduce(version, os.environ, keep=False, report=said.append)
    assert (done.likeness, done.finished, found(done)) == (
        "equal", True, {"list.txt": ("equal", "")}
    )  # fmt: skip
    assert "photos is linked in: its digest is the lineage's" in said
    assert Path("photos/deep/b.jpg").read_bytes() == b"p"

    Path("make.py").write_text(MAKE.replace('" "', '","'))
    git("add", "--all")
    git("commit", "--quiet", "-m", "another separator")
    done = reproduce(made(stages=stages), os.environ, keep=False, report=said.append)
    assert "make.py is not what the version was made from: modified" in done.notes
    assert found(done)["list.txt"] == ("differs", "")

    write(Path("photos/c.jpg"), b"p")
    with pytest.raises(RefusedError, match="photos is not the catalogue"):
        reproduce(version, os.environ, keep=False, report=said.append)
    assert list(Path("var/reproduce").iterdir()) == []


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = WorkTree(tmp_path / "var/reproduce/x", tmp_path / "var/reproduce/x/tree")
    tree.folder.mkdir(parents=True)
    return tree


def test_the_parameters_are_the_versions(tree):
    commit = {
        **PARAMS,
        "seed": 1,
        "register": {"name": "kindred"},
        "distill": {"epochs": 9, "x": 1},
    }
    (tree.folder / "params.yaml").write_text(yaml.safe_dump(commit))
    params = {"seed": 0, "distill.epochs": 8, "catalog": PARAMS["catalog"]}
    stage = StageRecord(deps={}, params={"params.yaml": params}, outs={})
    changes = use_parameters(tree, LINEAGE.model_copy(update={"stages": {"s": stage}}))
    assert [(c.name, c.was, c.now) for c in changes] == [("distill.epochs", 8, 9), ("seed", 0, 1)]
    now = yaml.safe_load((tree.folder / "params.yaml").read_text())
    assert now == {**PARAMS, "register": {"name": "kindred"}, "distill": {"epochs": 8, "x": 1}}


def test_stages_run_apart_from_the_checkout(tree):
    given = {
        "PATH": "/bin", "PYTHONPATH": "/checkout", "PYTHONSAFEPATH": "1",
        "MLFLOW_TRACKING_URI": "http://shared", "MILVUS_URI": "http://shared", "KEY": "kept",
    }  # fmt: skip
    env = environment(tree, given)
    assert env["MLFLOW_TRACKING_URI"] == f"sqlite:///{tree.folder}/mlflow.db"
    assert env["PYTHONPATH"].split(os.pathsep) == [str(tree.folder), "/checkout"]
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert env["KEY"] == "kept"
    assert not {"MILVUS_URI", "PYTHONSAFEPATH"} & env.keys()


def test_the_catalogue_is_linked_where_the_tree_looks_for_it(tree, tmp_path):
    for folder in ("photos", "deep/photos"):
        write(tmp_path / folder / "a.jpg", b"a")
        write(tree.folder / folder / "README.md", b"from git")
        link_catalogue(tree, Path(folder))
        assert [path.name for path in (tree.folder / folder).iterdir()] == ["a.jpg"]
    link_catalogue(tree, (tmp_path / "photos").absolute())
    outside = tmp_path.parent.parent / tmp_path.parent.name
    with pytest.raises(RefusedError, match="outside the project"):
        link_catalogue(tree, Path("../..") / outside.name)


def test_a_run_is_told_line_by_line_and_fails_as_dvc_does(tree):
    (tree.folder / "dvc.yaml").write_text("stages: {a: {cmd: echo one && exit 3}}")
    write(tree.folder / ".dvc/config", b"[core]\n    no_scm = True\n")
    said = []
    assert not rerun.run_pipeline(tree, environment(tree, os.environ), said.append)
    assert "one" in said
    assert any("Running stage 'a'" in line for line in said)
