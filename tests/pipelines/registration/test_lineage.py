"""Every dependency that dvc.yaml names is in the lineage of what is registered."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.registration.lineage import own_code
from pipelines.registration.parts import made_of
from pipelines.run.params import Params, load_params
from registry.dvc_lock import StageRecord, upstream_stages

TOP = Path(__file__).parents[3]
REGISTER = "register"


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(TOP)
    return load_params()


@pytest.fixture
def declared(params: Params) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml, cycles spelt out and parameters filled in."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    spelt = {}
    for name, stage in stages.items():
        if "do" not in stage:
            spelt[name] = _filled(stage, {"catalog.folder": str(params.catalog.folder)})
            continue
        for key, item in params.cycles.items():
            words = {"catalog.folder": str(params.catalog.folder), "key": key, "item": item}
            spelt[f"{name}@{key}"] = _filled(stage["do"], words)
    return spelt


def _filled(stage: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    text = yaml.safe_dump(stage)
    return dict(yaml.safe_load(re.sub(r"\$\{([^}]+)\}", lambda found: words[found[1]], text)))


def _names(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _locked(path: str) -> dict[str, str]:
    return {"path": path, "md5": hashlib.md5(path.encode()).hexdigest()}


@pytest.fixture
def lock(tmp_path: Path, declared: dict[str, dict[str, Any]]) -> Path:
    """What DVC writes when it has run them all."""
    stages = {
        name: {
            "deps": [_locked(dep) for dep in stage["deps"]],
            "outs": [
                _locked(out)
                for kind in ("outs", "metrics", "plots")
                for out in _names(stage.get(kind, []))
            ],
        }
        for name, stage in declared.items()
    }
    path = tmp_path / "dvc.lock"
    path.write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    return path


def test_every_dependency_of_every_stage_is_in_the_lineage(
    params: Params, declared: dict[str, dict[str, Any]], lock: Path
) -> None:
    lineage = upstream_stages(lock, made_of(params), params.cycles)
    for name in declared.keys() - {REGISTER}:
        assert name in lineage, f"registering reads nothing that {name} leads to"
        assert lineage[name].deps.keys() == set(declared[name]["deps"])


def test_what_register_itself_reads_is_in_the_lineage(
    params: Params, declared: dict[str, dict[str, Any]], lock: Path
) -> None:
    """DVC records that stage after it is over: others made its data, and its code is digested."""
    lineage = upstream_stages(lock, made_of(params), params.cycles)
    own = own_code(lineage.values())
    known = {path for stage in lineage.values() for path in (*stage.deps, *stage.outs)}
    for dep in map(Path, declared[REGISTER]["deps"]):
        made = [path for path in map(Path, [*known, *own]) if path.is_relative_to(dep)]
        assert made or any(dep.is_relative_to(path) for path in known), dep
    assert "pipelines/register.py" in own
    assert not any(file.startswith(("registry/", "retrieval/")) for file in own)


def test_the_committed_lock_leads_to_every_stage(params: Params) -> None:
    if not Path("dvc.lock").exists():
        pytest.skip("nothing was run yet")
    stages = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]
    lineage = upstream_stages(Path("dvc.lock"), made_of(params), params.cycles)
    current = {n for n in stages if "@" not in n or n.partition("@")[2] in params.cycles}
    assert lineage.keys() == current - {REGISTER}
    for name, stage in lineage.items():
        assert stage.deps == {dep["path"]: dep["md5"] for dep in stages[name]["deps"]}


def test_code_that_a_stage_depends_on_is_not_digested_again() -> None:
    stage = StageRecord(deps={"pipelines/registration": "md5"}, params={}, outs={})
    own = own_code([stage])
    assert "pipelines/register.py" in own
    assert "registry/lineage.py" in own  # no stage covers it here
    assert "pipelines/registration/lineage.py" not in own
