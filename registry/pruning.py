"""Take away what no version that serves or may serve again needs.

Promotion drops collections of old champions by it; `kindred prune` more, and shows it first. What
goes first is what can be made again (collections, copies of bundles), versions go last and on
request. Killed anywhere, it leaves whole things or leftovers that the next prune removes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from registry.catalogue_index import MODELS
from registry.errors import without_password
from registry.in_use import alone, is_used
from registry.promotion_lock import promotion_lock
from registry.removal import (
    DROPPED,
    Kept,
    Removal,
    bytes_below,
    is_stale,
    remove_path,
    remove_whole,
)
from registry.spared import KEPT, Scope, read_scope
from registry.store import CACHE
from registry.stored_models import find_models, find_versions, going_versions, has_files
from registry.versions import list_versions
from retrieval.index.store import LiteStore, VectorStore, collection_key, default_uri, open_store

Report = Callable[[str], None]
Finder = Callable[[], Iterable[Removal | Kept]]

_IN_USE = "a process uses its version now"
_KEY = re.compile(r"v([0-9a-f]{16})_(?:student|base)")  # `collection_key`
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    keep: int = KEPT  # so many former champions stay, beside today's
    versions: bool = False  # also delete versions in MLflow, with their artifacts
    apply: bool = False  # remove; else only find


@dataclass(frozen=True)
class Pruned:
    """What goes, or went, and what stays against expectation."""

    going: tuple[Removal, ...]
    staying: tuple[Kept, ...]


def prune(
    name: str,
    wanted: Wanted,
    others: Sequence[Finder] = (),
    report: Report = lambda _: None,
) -> Pruned:
    """Find what is not needed any more, and remove it if told so.

    Args:
        name: The registered model.
        wanted: How much.
        others: Find what other packages left.
        report: Called with each step, for people.

    Raises:
        ConflictError: A promotion, a rollback or another prune runs.
        UnreachableError: The registry does not answer; nothing is removed.
        ConnectionError: The Milvus server does not answer.
        OSError: Something cannot be removed; the next prune goes on from there.
    """
    with promotion_lock():
        scope = read_scope(name, wanted.keep)
        found = list(_find(scope, wanted.versions))
        found += [one for find in others for one in find()]
        going = [one for one in found if isinstance(one, Removal)]
        staying = [one for one in found if isinstance(one, Kept)]
        if wanted.apply:
            going, held = _remove(going, report)
            staying += held
    return Pruned(tuple(going), tuple(staying))


def tidy_collections(name: str) -> None:
    """Drop the collections of former champions but the last ones and what is in use.

    The caller holds the promotion lock. Raises as `prune`.
    """
    scope = read_scope(name)
    for found in _collections(scope, former=True):
        if isinstance(found, Removal):
            found.remove()


def _find(scope: Scope, versions: bool) -> Iterator[Removal | Kept]:
    """In the order in which they go."""
    yield from _collections(scope)
    leaving = {version.digest for version in going_versions(scope)} if versions else set[str]()
    yield from _bundles(scope, leaving)
    yield from _leftovers()
    if versions:
        yield from find_versions(scope)
    yield from find_models(unregistered=versions)


def _remove(going: Sequence[Removal], report: Report) -> tuple[list[Removal], list[Kept]]:
    gone, held = [], []
    for one in going:
        if one.remove():
            gone.append(one)
            report(f"removed {one.kind} {one.name}")
        else:
            held.append(Kept(f"{one.kind} {one.name}", "somebody has begun to use it"))
    return gone, held


def _collections(scope: Scope, *, former: bool = False) -> Iterator[Removal | Kept]:
    """Of versions that are not spared; only of former champions, if asked so."""
    store = open_store()
    spared = {collection_key(digest, model) for digest in scope.spared_digests for model in MODELS}
    foreign = 0
    for key in sorted(store.list_keys() - spared):
        match = _KEY.fullmatch(key)
        digest = scope.digest_of(match[1]) if match else None
        if not match or (former and digest not in scope.past_digests):
            continue
        if digest is None and not isinstance(store, LiteStore):
            foreign += 1
            continue
        yield _collection(scope, store, key, digest)
    if foreign:
        why = "of no version of this registry: another project's, perhaps"
        yield Kept(f"{foreign} collections at {without_password(default_uri())}", why)


def _collection(scope: Scope, store: VectorStore, key: str, digest: str | None) -> Removal | Kept:
    if isinstance(store, LiteStore):
        path = Path(default_uri()) / f"{key}.db"
        name, size = str(path), bytes_below(path)
    else:
        name, size = f"{key} at {without_password(default_uri())}", None
    if digest and is_used(CACHE, digest):
        return Kept(f"collection {name}", _IN_USE)
    remove = partial(_drop, store, key, digest, scope.name)
    return Removal("collection", name, size, scope.describe(digest), remove)


def _bundles(scope: Scope, leaving: Set[str]) -> Iterator[Removal | Kept]:
    registered = {version.digest: version for version in scope.versions}
    for folder in sorted(path for path in CACHE.glob("*") if _DIGEST.fullmatch(path.name)):
        digest = folder.name
        if digest in scope.spared_digests:
            continue
        if is_used(CACHE, digest):
            yield Kept(f"bundle {folder}", _IN_USE)
        elif (
            digest in registered
            and digest not in leaving
            and not has_files(registered[digest], folder)
        ):
            number = registered[digest].number
            why = f"version {number} has no other whole copy: MLflow does not list all its files"
            yield Kept(f"bundle {folder}", why)
        else:
            why = scope.describe(digest)
            remove = partial(_remove_bundle, folder, digest, scope.name)
            yield Removal("bundle", str(folder), bytes_below(folder), why, remove)


def _leftovers() -> Iterator[Removal]:
    """Of processes that were killed in the middle of something."""
    milvus = Path(default_uri()) if isinstance(open_store(), LiteStore) else None
    for folder, unfinished in ((CACHE, ".download.*"), (milvus, ".making.*")):
        if folder is None:
            continue
        left = [*folder.glob(f"{DROPPED}*"), *filter(is_stale, folder.glob(unfinished))]
        for path in sorted(left):
            why = "of a process that was killed"
            yield Removal("leftover", str(path), bytes_below(path), why, partial(remove_path, path))


def _drop(store: VectorStore, key: str, digest: str | None, name: str) -> bool:
    with alone(CACHE, digest) if digest else nullcontext(enter_result=True) as free:
        if not free or _has_alias(name, digest):
            return False
        store.drop(key)
        if not isinstance(store, LiteStore):
            store.drop(f"{key}_making")  # of a process that was killed
    return True


def _remove_bundle(folder: Path, digest: str, name: str) -> bool:
    with alone(CACHE, digest) as free:
        return free and not _has_alias(name, digest) and remove_whole(folder)


def _has_alias(name: str, digest: str | None) -> bool:
    """Whether somebody at another host, or in MLflow's page, has made it something meanwhile."""
    return any(version.aliases for version in list_versions(name) if version.digest == digest)
