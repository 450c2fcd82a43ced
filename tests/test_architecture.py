"""The structure that docs/pipeline.md and dvc.yaml promise, held against the code."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from pipelines.run.code import reached_files
from pipelines.run.params import Params
from registry.package_requirements import NOT_SERVED
from tests.parameters import unread_fields

ROOT = Path(__file__).parents[1]
PACKAGES = ("retrieval", "validation", "registry", "pipelines", "services")
SERVED = ("services/page/", "services/commands/templates/")  # for browsers: no stage reads it


def first_party_files() -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )


@cache
def imported_packages(file: str) -> frozenset[str]:
    """Top-level names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return frozenset(names)


@cache
def reached(file: str) -> frozenset[str]:
    """Every Python file of the project that running a file reaches, itself included."""
    found = set(reached_files(file))
    if "registry/store.py" in found:  # MLflow runs it: models from code
        found.add("registry/pyfunc_model.py")
    return frozenset(found)


MAY_IMPORT = {
    "retrieval": {"retrieval"},
    "validation": {"retrieval", "validation"},
    "registry": {"retrieval", "validation", "registry"},
    "pipelines": {"retrieval", "validation", "registry", "pipelines"},
    "services": {"retrieval", "registry", "services"},
}
PLATFORM = {"mlflow", "dvc", "bentoml", "great_expectations"}
FILES = first_party_files()


def dvc_stages() -> dict[str, tuple[str, dict]]:
    """Every stage, cycles spelt out: name -> (file, the stage as DVC resolves it)."""
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    cycles = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["cycles"]
    stages = {}
    for name, stage in content.items():
        each = {f"{name}@{cycle}": stage["do"] for cycle in cycles} if "foreach" in stage else {}
        for key, value in (each or {name: stage}).items():
            stages[key] = (f"pipelines/{value['cmd'].split()[2].split('.')[1]}.py", value)
    return stages


STAGES = dvc_stages()


# The rooms of services/: what each may import of the others.
ROOMS = {
    "store": {"store"},
    "search": {"search"},
    "sharing": {"search", "sharing", "store"},
    "http": {"http", "search", "sharing", "store"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_services_import_one_way(room):
    imported = {
        alias
        for path in (ROOT / "services" / room).rglob("*.py")
        for alias in re.findall(r"(?:from|import) services\.(\w+)", path.read_text("utf-8"))
    }
    assert imported <= ROOMS[room]


@pytest.mark.parametrize("file", FILES)
def test_imports_go_one_way(file):
    package = file.split("/")[0]
    wrong = (imported_packages(file) & set(PACKAGES)) - MAY_IMPORT[package]
    assert not wrong, f"{file} imports {wrong}; {package} may import {MAY_IMPORT[package]}"


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("retrieval/")])
def test_the_domain_knows_no_platform(file):
    assert not imported_packages(file) & PLATFORM


def test_a_package_reaches_no_library_that_it_does_not_carry():
    """`NOT_SERVED`, by imported names; mlflow is imported where a registry is asked."""
    left_out = {name.replace("-", "_") for name in NOT_SERVED} - {"mlflow"} | {"ruamel"}
    for file in reached("services/packaged.py"):
        assert not imported_packages(file) & left_out, file


def test_init_files_are_empty():
    for package in PACKAGES:
        for init in (ROOT / package).rglob("__init__.py"):
            assert init.read_bytes() == b"", init


@pytest.mark.parametrize("file", FILES)
def test_nothing_happens_on_import(file):
    """At the top level of a module there are definitions and constants, nothing that acts."""
    if file == "registry/pyfunc_model.py":
        pytest.skip("MLflow runs this file to find the model: models from code")
    allowed = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
        ast.AsyncFunctionDef, ast.TypeAlias if sys.version_info >= (3, 12) else ast.ClassDef,
    )  # fmt: skip
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for node in tree.body:
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        entry = isinstance(node, ast.If) and ast.unparse(node.test) in (
            "__name__ == '__main__'",
            "TYPE_CHECKING",
        )
        assert documentation or entry or isinstance(node, allowed), (
            f"{file}:{node.lineno} acts on import: {ast.unparse(node)}"
        )


def test_importing_every_light_module_touches_nothing(tmp_path):
    """In an empty folder: no file appears, no variable, no thread, no heavy library.

    Modules that reach torch are left out: torch itself sets variables.
    """
    modules = [
        file.removesuffix(".py").replace("/", ".")
        for file in FILES
        if file != "registry/pyfunc_model.py"
        and not any(imported_packages(path) & {"torch", "open_clip"} for path in reached(file))
    ]
    assert len(modules) > 20
    code = (
        "import importlib, os, sys, threading\n"
        "before = dict(os.environ)\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "assert os.listdir() == [], os.listdir()\n"
        "assert dict(os.environ) == before\n"
        "assert threading.active_count() == 1\n"
        "assert not {'mlflow', 'great_expectations', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# What a stage may reach without depending on it, since it changes no output: how a run is logged,
# and the declared form of sections of params.yaml, whose values DVC knows as parameters.
NO_OUTPUT = frozenset(
    {
        "registry/database.py",
        "registry/database_server.py",
        "registry/errors.py",
        "registry/experiments.py",
        "registry/git_state.py",
        "registry/relocation.py",
        "registry/tracking.py",
        "validation/limits.py",
    }
)


def _covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_packages_that_it_reaches_and_on_no_other(name):
    file, stage = STAGES[name]
    code = [dep for dep in stage["deps"] if dep.split("/")[0] in PACKAGES]
    needed = reached(file) - NO_OUTPUT
    missing = sorted(path for path in needed if not any(_covers(dep, path) for dep in code))
    assert not missing, f"{name}: no dependency in dvc.yaml covers {missing}"
    idle = [dep for dep in code if not any(_covers(dep, path) for path in needed)]
    assert not idle, f"{name}: reaches nothing in {idle}"
    files = [dep for dep in code if (ROOT / dep).is_file()]
    assert files == [file], "a stage names folders, and no file but its own"


def test_pipelines_holds_the_stages_and_nothing_else():
    stages = {Path(file).name for file, _ in STAGES.values()}
    found = {path.name for path in (ROOT / "pipelines").glob("*.py")}
    assert found == stages | {"__init__.py"}


def test_no_file_is_long():
    for folder in (*PACKAGES, "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".css", ".js", ".html"}:
                lines = len(path.read_text(encoding="utf-8").splitlines())
                assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines"


def test_every_data_file_beside_the_code_is_in_a_folder_that_a_stage_depends_on():
    named = {dep for _, stage in STAGES.values() for dep in stage["deps"]}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            relative = path.relative_to(ROOT).as_posix()
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                served = relative.startswith(SERVED)
                assert served or any(_covers(dep, relative) for dep in named), relative


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_does(name):
    file, stage = STAGES[name]
    assert stage["desc"]
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    documentation = ast.get_docstring(tree)
    assert documentation
    assert f"python -m pipelines.{Path(file).stem}" in documentation
    mains = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"
    ]
    assert len(mains) == 1
    assert [argument.arg for argument in mains[0].args.args] == (["cycle"] if "@" in name else [])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_parameters_that_it_reads(name):
    """What a reached file reads is in the stage's `params`, and the other way round.

    A stage names a section, or one key of it (`distill.recipe`) where it reads no other.
    """
    file, stage = STAGES[name]
    # `register` is read as params.registration: pydantic's models have a method of that name.
    names = {key: field.alias or key for key, field in Params.model_fields.items()}
    read: set[tuple[str, str]] = set()
    for path in reached(file):
        if path.startswith("pipelines/") and path != "pipelines/run/params.py":
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            read |= {(names[section], key) for section, key in _reads(tree) if section in names}
    if "@" not in name and "cycles" not in stage["params"]:  # cycle_argument, in a shared file
        read = {(section, key) for section, key in read if section != "cycles"}
    told = set(stage["params"])
    unnamed = {(section, key) for section, key in read if not told & {section, f"{section}.{key}"}}
    assert not unnamed, f"{name}: reads these, which its params do not name"
    assert told <= {section for section, _ in read} | {f"{section}.{key}" for section, key in read}


def _reads(tree: ast.AST) -> set[tuple[str, str]]:
    """X and Y of `params.X.Y` and `load_params().X.Y` anywhere in the tree; Y may be empty."""
    holders = r"(?<![\w.])(?:params|load_params\(\))"
    return set(re.findall(rf"{holders}\.(\w+)(?:\.(\w+))?", ast.unparse(tree)))


def test_every_parameter_is_read():
    """Each key of params.yaml, nested ones too, is read by code that holds its section."""
    sources = [
        (ROOT / file).read_text(encoding="utf-8")
        for file in FILES
        if file != "pipelines/run/params.py"
    ]
    # The test split gets what the two others leave.
    assert unread_fields(Params, sources) == {"Split.test"}


def test_a_parameter_that_nobody_reads_is_found():
    class Inner(BaseModel):
        used: int
        steps: int

    class Outer(BaseModel):
        inner: Inner
        others: list[int]

    source = """
def read(inner: "Inner", elsewhere: "Loop") -> int:
    return inner.used + elsewhere.steps

class Keeper:
    def __init__(self, outer: "Outer") -> None:
        self._inner, self._others = outer.inner, outer.others
"""
    assert unread_fields(Outer, [source]) == {"Inner.steps"}


def test_every_parameter_is_documented_beside_its_value():
    for number, line in enumerate((ROOT / "params.yaml").read_text().splitlines(), start=1):
        if ":" in line and not line.startswith("#"):
            assert " # " in line, f"params.yaml:{number} has no comment: {line}"


def test_no_index_address_and_no_path_of_a_machine_in_the_project():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock
