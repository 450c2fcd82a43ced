"""Which of this project's files a module reaches by its imports, and what they hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

from retrieval.storage.files import sha256_file

ROOT = Path(__file__).parents[2]


def reached_files(start: str, root: Path = ROOT) -> set[str]:
    """The files that a file reaches: itself, what it imports anywhere in it, and so on.

    Args:
        start: A Python file, relative to `root`.
        root: The project's top folder; what is imported from elsewhere does not count.

    Returns:
        Paths relative to `root`, in POSIX form.

    Raises:
        FileNotFoundError: There is no such file.
    """
    waiting, found = [start], set[str]()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported_files(file, root)
    return found


def code_digests(start: str, root: Path = ROOT) -> dict[str, str]:
    """SHA-256 of each file that `start` reaches, by its path relative to `root`."""
    return {file: sha256_file(root / file) for file in sorted(reached_files(start, root))}


def _imported_files(file: str, root: Path) -> Iterator[str]:
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for module in _imported_modules(node):
            path = module.replace(".", "/") + ".py"
            if (root / path).is_file():
                yield path


def _imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []
