"""What MLflow stores of versions: the logged models with their artifacts, and how they go.

A version is deleted before its files are, so that none is ever there without them. A mark on its
logged model says that they are to go: killed in between, the next prune finds it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

from registry import tracking
from registry.checksums import FOREIGN
from registry.client import pages, registry_client
from registry.database import sqlite_path
from registry.errors import UnknownVersionError
from registry.in_use import alone, is_used
from registry.logged_model import DIGEST_TAG
from registry.removal import Kept, Removal, bytes_below
from registry.spared import Scope
from registry.store import CACHE
from registry.versions import Version, list_versions

MARK = "kindred.pruned"
FRESH = timedelta(hours=1)  # a registration makes the model first, then the version, then the alias
_SOURCE = re.compile(r"models:/(m-[^/]+)")


@dataclass(frozen=True)
class Stored:
    """A logged model."""

    model_id: str
    location: str  # of its artifacts
    created: datetime
    marked: bool


def going_versions(scope: Scope) -> list[Version]:
    """Versions that are not spared, but for those that are an hour old at most."""
    old = datetime.now(UTC) - FRESH
    return [v for v in scope.versions if v.number not in scope.spared and v.created < old]


def find_versions(scope: Scope) -> Iterator[Removal | Kept]:
    """Those that go."""
    for version in going_versions(scope):
        name = f"{version.name} {version.number}"
        if is_used(CACHE, version.digest):
            yield Kept(f"version {name}", "a process uses it now")
            continue
        location = _find_location(version)
        elsewhere = "; its files are another tree's, and stay" if _is_elsewhere(location) else ""
        why = f"no alias, {scope.role(version)}{elsewhere}"
        size = 0 if elsewhere or not location else _bytes_at(location)
        yield Removal("version", name, size, why, partial(_remove_version, version))


def find_models(*, unregistered: bool) -> Iterator[Removal | Kept]:
    """Logged models that no version has: of a removal that was killed, or of a registration.

    Args:
        unregistered: Also those that nobody marked as going.
    """
    if not tracking.exists():
        return
    with registry_client("list the logged models") as client:
        used, found = _used_models(client), _stored_models(client)
    for one in found:
        is_old = datetime.now(UTC) - one.created > FRESH
        if used.has(one.model_id, one.location) or not (one.marked or (unregistered and is_old)):
            continue
        if _is_elsewhere(one.location) and not one.marked:
            yield Kept(f"model {one.model_id}", f"its files are another tree's: {one.location}")
            continue
        why = "of a removal that was cut off" if one.marked else "no version came of it"
        remove = partial(_remove_model, one.model_id, one.location)
        yield Removal("model", one.model_id, _bytes_at(one.location), why, remove)


def has_files(version: Version, bundle: Path) -> bool:
    """Whether the registry has every file of a bundle folder, by name and size."""
    location = _find_location(version)
    stored = dict(_list_files(location)) if location else {}
    wanted = {
        path.relative_to(bundle).as_posix(): path.stat().st_size
        for path in bundle.rglob("*")
        if path.is_file() and path.name not in FOREIGN
    }
    tops = {"/".join(name.split("/")[:2]) for name in stored}
    return any(
        all(stored.get(f"{top}/{name}") == size for name, size in wanted.items()) for top in tops
    )


def _remove_version(version: Version) -> bool:
    """Delete it, then its files; False where it is used or has an alias by now."""
    live = next((v for v in list_versions(version.name) if v.number == version.number), None)
    if live is None:
        return True
    location = _find_location(version)
    with alone(CACHE, version.digest) as free:
        if live.aliases or not free:
            return False
        number = str(version.number)
        with registry_client(f"delete version {number} of {version.name}") as client:
            model_id = _model_id(client.get_model_version(version.name, number))
            if location and model_id:
                client.set_logged_model_tags(model_id, {MARK: "true"})
            client.delete_model_version(version.name, number)
            used = _used_models(client)
    if not (location and model_id) or used.has(model_id, location):
        return True
    return _remove_model(model_id, location)


def _remove_model(model_id: str, location: str) -> bool:
    if not _is_elsewhere(location):
        _remove_artifacts(model_id, location)
    with registry_client(f"delete the logged model {model_id}") as client:
        client.delete_logged_model(model_id)
    return True


def _remove_artifacts(model_id: str, location: str) -> None:
    path = _local_path(location)
    if path is None:
        _repository(location).delete_artifacts()
        return
    whole = path.parent if path.parent.name == model_id else path  # MLflow's folder of this model
    if whole.exists():
        rmtree(whole)


def _stored_models(client: Any) -> list[Stored]:
    """What was logged of bundles."""
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    if experiment is None:
        return []
    listed = pages(partial(client.search_logged_models, [experiment.experiment_id]))
    return [_stored(model) for model in listed if DIGEST_TAG in model.tags]


def _stored(model: Any) -> Stored:
    return Stored(
        model_id=model.model_id,
        location=model.artifact_location,
        created=datetime.fromtimestamp(model.creation_timestamp / 1000, UTC),
        marked=MARK in model.tags,
    )


@dataclass(frozen=True)
class _Used:
    """What versions are made of, whatever their name."""

    model_ids: frozenset[str | None]
    locations: frozenset[str]

    def has(self, model_id: str, location: str) -> bool:
        """Whether a logged model is some version's."""
        return model_id in self.model_ids or location in self.locations


def _used_models(client: Any) -> _Used:
    entries = list(pages(client.search_model_versions))
    locations = (client.get_model_version_download_uri(e.name, e.version) for e in entries)
    return _Used(frozenset(map(_model_id, entries)), frozenset(locations))


def _model_id(entry: Any) -> str | None:
    """The logged model of a version; MLflow's database names it in the source alone."""
    match = _SOURCE.fullmatch(entry.source or "")
    return entry.model_id or (match[1] if match else None)


def _find_location(version: Version) -> str:
    """Where a version's artifacts are; "" where MLflow does not say: somebody deleted its model."""
    try:
        with registry_client(f"look up the files of version {version.number}") as client:
            entry = client.get_model_version(version.name, str(version.number))
            if model_id := _model_id(entry):
                return str(client.get_logged_model(model_id).artifact_location)
            return str(client.get_model_version_download_uri(entry.name, entry.version))
    except UnknownVersionError:
        return ""


def _bytes_at(location: str) -> int | None:
    """How much lies there; None where that cannot be told without asking for each file."""
    path = _local_path(location)
    return None if path is None else bytes_below(path)


def _list_files(location: str, below: str | None = None) -> Iterator[tuple[str, int]]:
    """Every stored file with its size; none where there is nothing."""
    for entry in _repository(location).list_artifacts(below):
        if entry.is_dir:
            yield from _list_files(location, entry.path)
        else:
            yield entry.path, entry.file_size


def _repository(location: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(location)


def _local_path(location: str) -> Path | None:
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None


def _is_elsewhere(location: str) -> bool:
    """Whether a database of this tree names files outside of it.

    A copy of the tree names them too, and may need them.
    """
    path = _local_path(location) if location else None
    database = sqlite_path(tracking.tracking_uri())
    if path is None or database is None:
        return False
    return not path.resolve().is_relative_to(database.resolve().parent)
