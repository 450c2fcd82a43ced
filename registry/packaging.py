"""Package a version as a Bento: one version that serves with no checkout and no registry beside it.

BentoML builds it. Its own stores are written by copying, and a kill would leave half a Bento under
the tag; so it builds into a folder of its own, which is then moved to its place in one step.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from registry.bundle import Bundle
from registry.checksums import SUMS
from registry.errors import RegistryError
from registry.git_state import read_git_state
from registry.package_requirements import serving_requirements
from registry.packaged_model import MODEL, read_packaged, write_packaged
from registry.store import fetch_bundle
from registry.versions import Version, find_version
from retrieval.storage.files import atomic_file

SERVICE = "services.packaged:Kindred"
PACKAGES = ("retrieval", "validation", "registry", "services")  # the code that it carries
ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_DIGITS = 12  # of the digest, in a tag
_MAKING = "kindred-package."
# The service writes `var/` in its working directory; a volume there takes over whose it is.
_CONTAINER = """\
#!/bin/sh
set -eu
mkdir -p /home/bentoml/bento/var
chown bentoml:bentoml /home/bentoml/bento/var
"""
_ABOUT = """\
`bentoml serve {tag}` serves this version, and nothing else, at http://127.0.0.1:3000. Without keys
it answers its own machine only; docs/packaging.md of Kindred says how to make keys, in a container
too.

"""


@dataclass(frozen=True)
class Package:
    """A Bento in BentoML's store."""

    version: Version
    tag: str
    store: Path  # BentoML's home
    created: bool


def package(
    name: str, wanted: str | None = None, report: Callable[[str], None] = lambda _: None
) -> Package:
    """Put a version into BentoML's store, whole or not at all; it is left alone if it is there.

    Args:
        name: The registered model.
        wanted: A number or an alias; None for the champion, else the challenger.
        report: Is told each step.

    Raises:
        RegistryError: There is no such version, it is damaged, or the store holds a damaged one.
        UnreachableError: The registry does not answer.
        OSError: The store cannot be written.
    """
    version = find_version(name, wanted)
    report(f"version {version.label} of {name}: reading its bundle")
    bundle = fetch_bundle(version)
    home = bentoml_home()
    tag = tag_of(version)
    with _making(home) as making:
        if _create_model(tag, version, bundle, making, home):
            report(f"{tag}: its bundle is in BentoML's Model Store")
        created = not _place("bentos", home, tag).exists()
        if created:
            report(f"{tag}: BentoML builds it, with the code and {LOCK.name}")
            _create_bento(tag, version, bundle, making, home)
    return Package(version, tag, home, created)


def tag_of(version: Version) -> str:
    """`kindred:3-0123456789ab`: BentoML takes small letters, digits and `. _ -`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", version.name.lower()).strip("._-") or "kindred"
    return f"{name[:63]}:{version.number}-{version.digest[:_DIGITS]}"


def bentoml_home() -> Path:
    """Where BentoML keeps what it keeps: `BENTOML_HOME`, by default `~/bentoml`."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.bentoml_home.get())


@contextmanager
def _making(home: Path) -> Iterator[Path]:
    """A folder beside the stores, and all that is temporary in it; what kills left there goes."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    with FileLock(temporary / f".{_MAKING}lock"):
        for left in temporary.glob(f"{_MAKING}*"):
            if not _is_locked(left):
                shutil.rmtree(left, ignore_errors=True)
        making = Path(tempfile.mkdtemp(dir=temporary, prefix=_MAKING))
        held = FileLock(making / "lock")
        held.acquire()
    before = tempfile.tempdir
    settings = deepcopy(BentoMLContainer.config.get())  # a build leaves the service's own there
    try:
        tempfile.tempdir = str(making)  # BentoML's drafts of models
        BentoMLContainer.tmp_bento_store_dir.set(str(making))  # and of Bentos
        yield making
    finally:
        tempfile.tempdir = before
        BentoMLContainer.tmp_bento_store_dir.reset()
        BentoMLContainer.config.set(settings)
        held.release()
        shutil.rmtree(making, ignore_errors=True)


def _is_locked(folder: Path) -> bool:
    """Whether a process makes something there now."""
    try:
        with FileLock(folder / "lock", timeout=0):
            return False
    except Timeout:
        return True


def _create_model(tag: str, version: Version, bundle: Bundle, making: Path, home: Path) -> bool:
    """Whether it was not there."""
    place = _place("models", home, tag)
    if place.exists():
        try:
            read_packaged(place)
        except ValueError as error:
            msg = f"{error}; `bentoml models delete {tag}` and run this again"
            raise RegistryError(msg) from error
        return False
    import bentoml
    from bentoml._internal.models import ModelStore

    drafts = ModelStore(making / "models")
    labels = _labels(version, bundle)
    with bentoml.models.create(tag, labels=labels, _model_store=drafts) as model:
        write_packaged(Path(model.path), version, bundle)
    _move(_place("models", making, tag), place)
    return True


def _create_bento(tag: str, version: Version, bundle: Bundle, making: Path, home: Path) -> None:
    import bentoml
    from bentoml._internal.bento import BentoStore

    drafts = making / "bentos"
    drafts.mkdir()
    context = making / "context"
    _write_context(context, tag, bundle)
    name, _, number = tag.partition(":")
    bentoml.bentos.build(
        SERVICE,
        name=name,
        version=number,
        labels=_labels(version, bundle),
        include=["*"],
        docker={"setup_script": "container.sh"},
        python={"requirements_txt": "requirements.txt", "lock_packages": False},
        models=[{"tag": tag, "alias": MODEL}],
        build_ctx=str(context),
        _bento_store=BentoStore(drafts),
    )
    _move(_place("bentos", making, tag), _place("bentos", home, tag))


def _write_context(context: Path, tag: str, bundle: Bundle) -> None:
    """What BentoML copies: code, requirements, the card."""
    for package_ in PACKAGES:
        shutil.copytree(
            ROOT / package_,
            context / package_,
            ignore=shutil.ignore_patterns("__pycache__"),
            copy_function=shutil.copyfile,
        )
    requirements = serving_requirements(LOCK)
    (context / "requirements.txt").write_text(requirements, encoding="utf-8")
    (context / "container.sh").write_text(_CONTAINER, encoding="utf-8")
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    (context / "README.md").write_text(_ABOUT.format(tag=tag) + card, encoding="utf-8")


def _labels(version: Version, bundle: Bundle) -> dict[str, Any]:
    code = read_git_state(ROOT)
    return {
        "version": str(version.number),
        "digest": version.digest,
        "dataset": _products_digest(bundle),
        "commit": bundle.lineage.git.commit or "none",
        "code": code.commit + ("" if code.clean else "-changed") if code.commit else "none",
    }


def _products_digest(bundle: Bundle) -> str:
    """SHA-256 of the product table, as the bundle's own list has it."""
    lines = (bundle.folder / SUMS).read_text(encoding="utf-8").splitlines()
    return next(line.split("  ")[0] for line in lines if line.endswith("  products.parquet"))


def _place(store: str, home: Path, tag: str) -> Path:
    return home / store / tag.replace(":", "/")


def _move(draft: Path, place: Path) -> None:
    """Give a complete draft its place, and make it what `kindred:latest` means."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(place)
    except OSError:
        if not place.exists():  # else another process was faster, with the same
            raise
    with atomic_file(place.parent / "latest") as latest:
        latest.write_text(place.name, encoding="utf-8")
