"""Where a version comes from: which data, labels, teacher and code made it."""

from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict

from registry.dvc_lock import StageRecord
from registry.git_state import GitState

PACKAGES = (
    "kindred",
    "dvc",
    "great-expectations",
    "mlflow",
    "numpy",
    "open_clip_torch",
    "pandas",
    "peft",
    "pillow",
    "pyarrow",
    "safetensors",
    "torch",
    "torchvision",
    "transformers",
)
# Outs that differ from run to run by their nature: MLflow run ids, and reports that name the hour.
VOLATILE_OUTS = ("data/runs/", "reports/")


class Asking(BaseModel):
    """What was asked of a model for one purpose; null where the stage keeps no account of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int
    failures: int | None = None  # requests without a usable reply
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class Account(BaseModel):
    """What the stages counted; none of it makes another version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    products: dict[str, int]  # split -> rows
    personas: dict[str, int]  # split -> rows
    rankings: dict[str, int]  # cycle -> groups that the teacher was asked about
    rejects: dict[str, int]  # table -> rows that were refused
    dropped: dict[str, int]  # why -> personas that were left out
    asked: dict[str, Asking]  # purpose -> what it took; nothing where nobody was asked
    registered_by: dict[str, str]  # file that the stage `register` alone has -> sha256


class Revision(BaseModel):
    """How the catalogue of a version was changed after training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: int  # the version that was trained
    of_sha256: str  # its bundle's digest
    added: int  # products, against that version
    removed: int
    changed: int
    table_sha256: str  # of the folder's table of products
    made: datetime


class Lineage(BaseModel):
    """The content of `lineage.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git: GitState
    stages: dict[str, StageRecord]  # empty: made without DVC
    teacher: dict[str, Any]  # the section of the parameters: kind, and what it needs
    prompts: dict[str, str] | None  # prompt -> sha256; null: the teacher takes none
    runs: dict[str, str]  # stage -> MLflow run id
    parent: int | None  # the champion's version when this one was made
    packages: dict[str, str]
    python: str
    account: Account | None = None  # null in bundles before format 6
    revision: Revision | None = None  # null: the catalogue is the one that it was trained with

    def content(self) -> dict[str, Any]:
        """What belongs to the version itself, for its digest.

        Run ids, and what may differ between two registrations of the same model (the commit, the
        champion of the day, what a journal had answered already, this machine, when its catalogue
        was revised), are left out.
        """
        return {
            "stages": {name: _lasting(stage) for name, stage in self.stages.items()},
            "teacher": self.teacher,
            "prompts": self.prompts,
        }


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that a lineage names."""
    installed = {dist.name.lower().replace("-", "_") for dist in metadata.distributions()}
    present = [name for name in PACKAGES if name.lower().replace("-", "_") in installed]
    return {name: metadata.version(name) for name in present}


def _lasting(stage: StageRecord) -> dict[str, Any]:
    return {
        "deps": _without_volatile(stage.deps),
        "params": stage.params,
        "outs": _without_volatile(stage.outs),
    }


def _without_volatile(digests: Mapping[str, str]) -> dict[str, str]:
    return {path: md5 for path, md5 in digests.items() if not path.startswith(VOLATILE_OUTS)}
