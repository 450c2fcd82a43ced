"""A sync: the folder's products become the champion's catalogue, as a revision of it.

Nothing that serves is touched before the revision is complete; `registry.promotion.revise` then
moves the alias. What a killed sync leaves in `var/sync` is looked at pictures, which the next one
need not look at again, and drafts, which it removes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pipelines.ingest.pictures import PictureLimits
from pipelines.ingest.products import find_products
from pipelines.ingest.rejects import hold_rejects, write_rejects
from pipelines.run.params import Params
from pipelines.run.stage import LOCKS
from pipelines.sync.champion import Champion, open_champion
from pipelines.sync.folder import Found, read_catalogue
from pipelines.sync.revising import write_bundle
from pipelines.sync.seen import JOURNAL
from registry.errors import RefusedError
from registry.promotion import revise, tidy
from registry.promotion_lock import sole
from registry.versions import Version
from retrieval.storage.journal import Journal

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
    with sole(LOCK, "sync"):
        champion = open_champion(asked.name)
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
        if new := sum(not product.thumbnail for product in found.products):
            report(f"{new} pictures are read by the champion and by its base model")
        rmtree(WORK, ignore_errors=True)  # what a killed one left
        WORK.mkdir(parents=True)
        try:
            _make_bundle(champion, found, params)
            done = revise(champion.version, WORK / "bundle", found.difference.summary(), report)
        finally:
            rmtree(WORK, ignore_errors=True)
        return Synced(asked, champion, done.version, found)


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


def _make_bundle(champion: Champion, found: Found, params: Params) -> None:
    try:
        write_bundle(WORK / "bundle", champion, found, params)
    except ValueError as error:
        raise RefusedError(str(error)) from error
