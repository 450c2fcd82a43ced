"""A copy of the project, small parameters, and its pipeline run from end to end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = {
    "compute": {"threads": 1},
    "catalog": {
        "products": 240,
        "sets": 20,
        "personas": 120,
        "subjects": 3,
        "split": {"train": 0.8, "val": 0.05, "test": 0.15},  # of so few, enough to be tested on
    },
    "base": {"epochs": 2, "batch_size": 32, "head_epochs": 20},
    "label": {"groups": 90},
    "check_labels": {"min_rankings": 40, "min_personas": 15},
    "distill": {"epochs": 1},
    "concepts": {"steps": 30},
    "evaluate": {"bootstrap_samples": 200},
    "check_retrieval": {
        "min_queries": 10,
        "min_mean_percentile": 0.0,  # two epochs: what such a model is worth is chance
        "min_gain": -1.0,
        "max_caption_drop": 1.0,
        "min_within_kind_percentile": 0.0,
        "min_recall_at_10": 0.0,
        "min_slice_percentile": 0.0,
        "min_caption_recall_at_10": 0.0,
        "min_concept_map": 0.0,
        "min_context_mrr": 0.0,
        "min_concept_caption_recall_at_10": 0.0,
        "max_slice_drop": 1.0,
    },
}


class Project:
    """A folder with the project in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        binaries = str(Path(sys.executable).parent)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
        self.env = {**kept, "PATH": f"{binaries}{os.pathsep}{kept['PATH']}"}

    def set_params(self, changes: dict) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in changes.items():
            if isinstance(values, dict) and isinstance(params[section], dict):
                params[section].update(values)
            else:
                params[section] = values
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def keep_two_cycles(self) -> None:
        """What a user changes for fewer cycles."""
        self.set_params({"cycles": None})
        self.set_params({"cycles": {"c1": "c0", "c2": "c1"}})

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, text=True, capture_output=True
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def make_repro(self) -> list[str]:
        """The command `make repro`, in the environment that runs the tests."""
        return ["make", "--old-file=install", "repro"]

    def repro(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run("dvc", "repro", *arguments, check=check)

    def kindred(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "-m", "services.cli", *arguments, check=check)


def copy_project(folder: Path) -> Project:
    """What git would have in a commit of the working tree, as a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    (folder / "dvc.lock").unlink(missing_ok=True)
    project = Project(folder)
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    project.run(
        "git", "-c", "user.name=test", "-c", "user.email=test@localhost",
        "commit", "--quiet", "--message", "copy",
    )  # fmt: skip
    return project


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    """A new copy of the project, with small parameters, in which nothing has run."""

    def make() -> Project:
        project = copy_project(tmp_path_factory.mktemp("project"))
        project.set_params(TINY)
        project.keep_two_cycles()
        return project

    return make


@pytest.fixture(scope="session")
def tiny(make_project) -> Project:
    """The whole pipeline, run once with small parameters."""
    project = make_project()
    project.repro()
    return project
