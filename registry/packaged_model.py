"""A packaged version's files: BentoML's Model Store carries them, a package's service reads them.

bundle/         the version's bundle, unchanged
version.json    what the registry said of the version when it was packaged
"""

import shutil
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from registry.bundle import Bundle, open_bundle
from registry.versions import Version
from retrieval.storage.files import read_json, write_json

BUNDLE = "bundle"
VERSION = "version.json"
MODEL = "bundle"  # what the package's service calls its model, whatever the tag
_VERSION = TypeAdapter(Version)


def write_packaged(folder: Path, version: Version, bundle: Bundle) -> None:
    """Write them into a folder that is there."""
    shutil.copytree(bundle.folder, folder / BUNDLE, copy_function=shutil.copyfile)
    # Aliases move on without the package.
    write_json(folder / VERSION, _VERSION.dump_python(replace(version, aliases=()), mode="json"))


def read_packaged(folder: Path) -> tuple[Version, Bundle]:
    """The version and its bundle, checked.

    Raises:
        ValueError: A file is missing or damaged; the message names it.
    """
    path = folder / VERSION
    try:
        version = _VERSION.validate_python(read_json(path))
    except (FileNotFoundError, ValidationError) as error:
        msg = f"{path} does not say which version this is ({error}); package it again"
        raise ValueError(msg) from error
    bundle = open_bundle(folder / BUNDLE)
    if bundle.digest != version.digest:
        msg = f"{folder}: got content {bundle.digest}, expected {version.digest}; package it again"
        raise ValueError(msg)
    return version, bundle
