"""The way of a bundle into the MLflow registry, and back out of it."""

import io
import os
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from filelock import FileLock

from registry import tracking
from registry.bundle import Bundle, open_bundle
from registry.errors import (
    RegistryError,
    UnknownVersionError,
    UnreachableError,
    explained,
    without_password,
)
from registry.in_use import Hold
from registry.logged_model import log_bundle
from registry.versions import (
    CHALLENGER,
    Version,
    find_version,
    list_versions,
    revision_tags,
    set_alias,
    version_tags,
)

CACHE = Path("var/bundles")


@dataclass(frozen=True)
class Registration:
    """The version that carries a bundle, and whether it is new."""

    version: Version
    created: bool


def register_bundle(folder: Path, name: str) -> Registration:
    """Make a bundle a version of the model `name`, with the alias `challenger`.

    One digest has one version, however often this runs. Killed anywhere, it finishes when it runs
    again: the version and its tags are one write, and the alias moves last.

    Raises:
        ValueError: The folder is no intact bundle.
        RegistryError: The registry refuses or does not answer.
    """
    done = _register(folder, name)
    set_alias(done.version, CHALLENGER)
    return replace(done, version=_find_digest(name, done.version.digest) or done.version)


def register_revision(folder: Path, name: str) -> Version:
    """Make the bundle of a revision a version; no alias moves. Raises as `register_bundle`.

    Args:
        folder: The bundle; it is moved to where bundles are kept.
        name: The registered model.
    """
    version = _register(folder, name).version
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f".{version.digest}.lock"):
        if not (CACHE / version.digest).exists():
            folder.replace(CACHE / version.digest)
    return version


def fetch_bundle(version: Version) -> Bundle:
    """The version's bundle, checked; downloaded into `CACHE` unless it lies there intact.

    While the `Bundle` lives, `kindred prune` leaves the folder and the version's collections alone.

    Raises:
        RegistryError: What the registry holds is not the bundle that was registered.
        UnreachableError: It cannot be downloaded.
    """
    target = CACHE / version.digest
    if CACHE.exists() and not os.access(CACHE, os.W_OK):  # another user's: nothing to lock
        kept = _open_intact(target, version.digest)
        if kept is not None:
            return kept
    CACHE.mkdir(parents=True, exist_ok=True)
    held = Hold(CACHE, version.digest)
    return replace(_fetch(version, target), held=held)


def fetch_trained(revision: Version) -> Bundle | None:
    """The bundle of the version that one revises; None where it revises none or that was deleted.

    Raises as `fetch_bundle`.
    """
    if revision.revision_of is None:
        return None
    try:
        return fetch_bundle(find_version(revision.name, str(revision.revision_of)))
    except UnknownVersionError:
        return None


def _fetch(version: Version, target: Path) -> Bundle:
    with FileLock(CACHE / f".{version.digest}.lock"):
        kept = _open_intact(target, version.digest)
        if kept is not None:
            return kept
        # Where a download breaks off, MLflow's threads may write on; prune finds what they leave.
        with tempfile.TemporaryDirectory(
            dir=CACHE, prefix=".download.", ignore_cleanup_errors=True
        ) as download:
            found = _download(version, Path(download))
            rmtree(target, ignore_errors=True)  # damaged, or not there
            found.replace(target)
        try:
            fetched = open_bundle(target)
        except ValueError as error:
            raise _damaged(version, str(error)) from error
    if fetched.digest != version.digest:
        raise _damaged(version, f"got content {fetched.digest}, expected {version.digest}")
    return fetched


def _find_digest(name: str, digest: str) -> Version | None:
    return next((v for v in list_versions(name) if v.digest == digest), None)


def _register(folder: Path, name: str) -> Registration:
    """The version of a bundle, made if there is none."""
    bundle = open_bundle(folder)
    address = tracking.connect()
    version = _find_digest(name, bundle.digest)
    created = version is None
    if created:
        with explained(f"register {folder} as {name}", address):
            _create_version(bundle, name)
        version = _find_digest(name, bundle.digest)
    if version is None:
        msg = f"registered {folder} as {name}, but {address} does not list it; run it again"
        raise RegistryError(without_password(msg))
    return Registration(version, created)


def _create_version(bundle: Bundle, name: str) -> None:
    import mlflow

    tags = version_tags(bundle) | revision_tags(bundle, list_versions(name))
    model = log_bundle(bundle)
    with redirect_stderr(io.StringIO()):  # it prints what it does; errors are raised
        mlflow.register_model(model.model_uri, name, tags=tags)


def _open_intact(folder: Path, digest: str) -> Bundle | None:
    try:
        bundle = open_bundle(folder)
    except ValueError:
        return None
    return bundle if bundle.digest == digest else None


def _download(version: Version, folder: Path) -> Path:
    address = tracking.connect()
    import mlflow

    uri = f"models:/{version.name}/{version.number}"
    action = f"download version {version.number} of {version.name}"
    try:
        with explained(action, address):
            # An explicit target: without one MLflow writes into the stored model itself.
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))
            where = mlflow.MlflowClient().get_model_version_download_uri(
                version.name, str(version.number)
            )
    except OSError as error:
        msg = f"could not {action}: {error}; its artifacts are not where {address} says"
        raise UnreachableError(without_password(msg)) from error
    found = [path.parent for path in folder.glob("artifacts/*/format_version")]
    if len(found) != 1:
        fault = f"got {len(found)} bundles at {without_password(where)}, expected one"
        raise _damaged(version, fault)
    return found[0]


def _damaged(version: Version, fault: str) -> RegistryError:
    return RegistryError(
        f"version {version.number} of {version.name} is damaged in the registry: {fault};"
        " restore its artifacts, or delete the version in MLflow and run"
        " `python -m pipelines.register`"
    )
