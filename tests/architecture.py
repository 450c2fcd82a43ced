"""What the code reaches, read off its imports: the facts that test_architecture.py holds."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("retrieval", "validation", "registry", "pipelines", "services")
# Files beside the code that a module reads.
READS = {
    "retrieval/encoder.py": ["retrieval/model_configs"],
    "pipelines/params.py": [],  # params.yaml: DVC knows it as parameters
    "pipelines/studio/interests.py": ["pipelines/studio/interests.yaml"],
    "pipelines/studio/render.py": ["pipelines/studio/artwork"],
    "registry/store.py": ["registry/pyfunc_model.py"],
}


def first_party_files() -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )


def _module_file(module: str) -> str | None:
    path = ROOT / (module.replace(".", "/") + ".py")
    return path.relative_to(ROOT).as_posix() if path.is_file() else None


@cache
def imports(file: str) -> frozenset[str]:
    """First-party files that a file imports, anywhere in it."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {_module_file(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(_module_file(node.module))
            found |= {_module_file(f"{node.module}.{alias.name}") for alias in node.names}
    return frozenset(name for name in found if name)


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


def reached(file: str) -> set[str]:
    """Everything of the project that running a file reaches, itself and data files included."""
    todo, seen = [file], set()
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        beside = READS.get(here, [])
        todo += [path for path in beside if path.endswith(".py")]
        seen |= {path for path in beside if not path.endswith(".py")}
        todo += imports(here)
    return seen
