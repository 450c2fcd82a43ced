"""A sync: the folder's products become the champion's catalogue, as a revision of it.

Nothing that serves is touched before the revision is complete; `registry.promotion.revise` then
moves the alias. What a killed sync leaves in `var/sync` is looked at pictures, which the next one
need not look at again, and drafts, which it removes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from filelock import FileLock, Timeout

from pipelines.ingest.pictures import PictureLimits
from pipelines.ingest.products import find_products
from pipelines.ingest.rejects import hold_rejects, write_rejects
from pipelines.run.params import Params
from pipelines.run.stage import LOCKS
from pipelines.sync.folder import Found, Known, read_catalogue, with_thumbnails
from pipelines.sync.seen import JOURNAL
from pipelines.sync.vectors import (
    Rows,
    embed_captions,
    embed_pictures,
    in_order,
    known_vectors,
    recaptioned,
)
from registry.bundle import Bundle, Product
from registry.bundle_writer import thumbnail_of
from registry.errors import ConflictError, RefusedError, RegistryError
from registry.lineage import Revision
from registry.promotion import revise, tidy
from registry.revision import Catalogue, compare_catalogues, write_revision
from registry.store import fetch_bundle
from registry.versions import CHAMPION, Version, find_version
from retrieval.images import PictureError, open_picture, save_picture
from retrieval.storage.files import sha256_file
from retrieval.storage.journal import Journal
from retrieval.storage.vectors import Vectors

REJECTS = Path("var/sync/rejects.csv")
WORK = Path("var/sync/work")
LOCK = LOCKS / "sync.lock"
MOST_REMOVED = 0.5  # share of the products, unless it is asked for

Report = Callable[[str], None]


@dataclass(frozen=True)
class SyncRequest:
    """What the user asks for."""

    folder: Path  # with a table of products and pictures, in the form of `catalog.folder`
    name: str  # the registered model
    dry_run: bool = False  # say what would change, change nothing
    shrink: bool = False  # go on where more than half of the products would go


@dataclass(frozen=True)
class Champion:
    """What serves, and what it was before its catalogue was changed."""

    version: Version
    bundle: Bundle
    trained: Bundle  # the same where it is no revision
    known: Known


@dataclass(frozen=True)
class Synced:
    """What a sync found and did."""

    asked: SyncRequest
    before: Champion
    after: Version | None  # None: nothing was to be done, or this was a dry run
    found: Found


def sync(asked: SyncRequest, params: Params, report: Report = lambda _: None) -> Synced:
    """Make the folder's products the champion's catalogue.

    Args:
        asked: Which folder, and how.
        params: All of them.
        report: Called with each step, for people.

    Raises:
        SystemExit: The folder's table is missing or wrong.
        RefusedError: Too many rows are rejected, or too many products would go.
        RegistryError: There is no champion, it is damaged, or does not bring its base model.
        ConflictError: Another sync or promotion runs, or the champion changed meanwhile.
        UnreachableError: The registry does not answer.
        ConnectionError: The Milvus server does not answer.
    """
    find_products(asked.folder)  # first: it is quick, and may be missing
    with _sync_lock():
        champion = _open_champion(asked.name)
        report(f"version {champion.version.label}: the digests of its files hold")
        with Journal(JOURNAL) as journal:
            found = read_catalogue(
                asked.folder, champion.known, _limits(params), journal, params.compute.threads
            )
        _hold_rejects(found, params)
        report(f"{len(found.products)} products: {found.difference.summary()}")
        _hold_removals(found, champion, asked.shrink)
        if asked.dry_run:
            return Synced(asked, champion, None, found)
        if found.difference.is_empty:
            tidy(asked.name)
            return Synced(asked, champion, None, found)
        rmtree(WORK, ignore_errors=True)  # what a killed one left
        WORK.mkdir(parents=True)
        try:
            _make_bundle(champion, found, params, report)
            done = revise(champion.version, WORK / "bundle", found.difference.summary(), report)
        finally:
            rmtree(WORK, ignore_errors=True)
        return Synced(asked, champion, done.version, found)


def _open_champion(name: str) -> Champion:
    version = find_version(name, CHAMPION)
    bundle = fetch_bundle(version)
    trained = bundle
    if version.revision_of is not None:
        try:
            trained = fetch_bundle(find_version(name, str(version.revision_of)))
        except RegistryError:  # deleted: what serves is what there is
            trained = bundle
    if not bundle.has_base_model:
        msg = (
            f"version {version.label} was registered before bundles brought their base model, so"
            " that new pictures cannot be read as it read them: run `dvc repro`, then"
            " `kindred promote`"
        )
        raise RefusedError(msg)
    served = {product.product_id: product for product in bundle.read_products()}
    first = (
        served
        if trained is bundle
        else {product.product_id: product for product in trained.read_products()}
    )
    return Champion(version, bundle, trained, Known(served, first))


def _limits(params: Params) -> PictureLimits:
    return PictureLimits(params.catalog.max_megapixels, params.catalog.max_side)


def _hold_rejects(found: Found, params: Params) -> None:
    write_rejects(REJECTS, found.rejects)
    try:
        hold_rejects(found.rejects, found.rows, params.catalog.max_reject_fraction, REJECTS)
    except SystemExit as error:
        raise RefusedError(str(error)) from error


def _hold_removals(found: Found, champion: Champion, shrink: bool) -> None:
    removed, served = len(found.difference.removed), len(champion.known.served)
    if not found.products:
        raise RefusedError(f"no product is left: every row is rejected, as {REJECTS} says")
    if removed > MOST_REMOVED * served and not shrink:
        msg = (
            f"{removed} of the {served} products that are served are not in the folder's table,"
            " more than half: is it the right folder? If they are to go, say so: --shrink"
        )
        raise RefusedError(msg)


def _make_bundle(champion: Champion, found: Found, params: Params, report: Report) -> None:
    """As `_write_bundle`; what is wrong with a model or a picture is said in one line."""
    try:
        _write_bundle(champion, found, params, report)
    except ValueError as error:
        raise RefusedError(str(error)) from error


def _write_bundle(champion: Champion, found: Found, params: Params, report: Report) -> None:
    """The revision's bundle, at `WORK / "bundle"`."""
    new = _copy_new(found, params)
    products = with_thumbnails(
        found.products,
        {id_: thumbnail_of(path, params.registration.thumbnail_side) for id_, path in new.items()},
    )
    bundles = [champion.trained, champion.bundle]
    student = known_vectors(bundles, products, "student")
    base = known_vectors(bundles, products, "base")
    captions = recaptioned(products, champion.trained)
    read = _read_new(champion.bundle, new, captions, params)
    if new:
        report(f"{len(new)} pictures are embedded, by the champion and by its base model")
    write_revision(
        WORK / "bundle",
        champion.trained,
        Catalogue(
            products,
            in_order(products, student | read.student),
            in_order(products, base | read.base),
            read.captions,
        ),
        _record(champion, found, products),
        champion.version.name,
    )


def _copy_new(found: Found, params: Params) -> dict[str, Path]:
    """The pictures that no vector is known of, in the form of the catalogue; by product id."""
    copies = {}
    for number, product in enumerate(found.products):
        if not product.thumbnail:
            copy = WORK / f"{number}.jpg"
            source = found.pictures[product.product_id]
            picture = open_picture(source, params.catalog.max_megapixels)
            save_picture(picture, copy, params.catalog.max_side)
            if sha256_file(copy) != product.image_sha256:
                msg = f"{source} changed while it was read; run this again"
                raise PictureError(msg)
            copies[product.product_id] = copy
    return copies


@dataclass(frozen=True)
class _Read:
    """What the models read."""

    student: Rows
    base: Rows
    captions: Vectors


def _read_new(
    bundle: Bundle, pictures: dict[str, Path], captions: dict[str, str], params: Params
) -> _Read:
    """What is new to the models; they are not loaded where nothing is."""
    if not pictures and not captions:
        return _Read({}, {}, in_order([], {}))
    from retrieval.compute import make_repeatable, resolve_device

    device = resolve_device(params.compute.device)
    make_repeatable(params.seed, params.compute.threads)
    encoder = bundle.load_encoder(device)
    read = embed_captions(encoder, captions)
    student = embed_pictures(encoder, pictures, "champion")
    base: Rows = {}
    if pictures:
        base = embed_pictures(bundle.load_base_encoder(device), pictures, "base model")
    return _Read(student, base, read)


def _record(champion: Champion, found: Found, products: list[Product]) -> Revision:
    """What the lineage says: the catalogue against the one that was trained with."""
    difference = compare_catalogues([*champion.known.trained.values()], products)
    return Revision(
        of=champion.version.trained,
        of_sha256=champion.trained.digest,
        added=len(difference.added),
        removed=len(difference.removed),
        changed=len(difference.changed),
        table_sha256=found.table_sha256,
        made=datetime.now(UTC),
    )


@contextmanager
def _sync_lock() -> Iterator[None]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            yield
    except Timeout as error:
        msg = f"another sync has {LOCK}; wait until it is done, then look at `kindred history`"
        raise ConflictError(msg) from error
