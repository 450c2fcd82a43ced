"""Make a version the champion, or a revision of the champion, or go back to the one before.

The alias `champion` is the single pointer: which model and which collections serve follow from it
alone. Everything that serving needs is written and verified before it moves, and a process killed
at any step leaves the old champion or the new one, complete; the next call closes what it left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.bundle import Bundle
from registry.catalogue_index import (
    check_collections,
    ensure_collections,
    verify_collections,
)
from registry.comparison import compare_with, from_bundle
from registry.errors import ConflictError, RefusedError
from registry.history import (
    Action,
    Change,
    champions,
    close_change,
    close_unfinished,
    former_champion,
    open_change,
    read_history,
)
from registry.promotion_lock import promotion_lock
from registry.pruning import tidy_collections
from registry.store import fetch_bundle, register_revision
from registry.tracking import check_writable
from registry.verdicts import (
    GATES,
    is_beside,
    outcome,
    reasons_apart_from_champion,
    recorded_limits,
)
from registry.versions import (
    CHALLENGER,
    CHAMPION,
    Version,
    champion_number,
    find_champion,
    find_version,
    list_versions,
    set_alias,
)
from validation.retrieval_champion import Uncompared, find_regression

Report = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """What a promotion, a rollback or a sync came to."""

    version: Version
    before: Version | None  # the champion until now
    moved: bool  # False: it was champion already, or this was a dry run
    overridden: tuple[str, ...]  # reasons to refuse that --force set aside


def promote(
    name: str,
    wanted: str = CHALLENGER,
    *,
    dry_run: bool = False,
    reason: str = "",
    report: Report = lambda _: None,
) -> Moved:
    """Make a version the champion.

    Args:
        name: The registered model.
        wanted: A version's number or alias.
        dry_run: Check everything, write nothing.
        reason: Why a version that does not pass is promoted all the same; "" to refuse it.
        report: Called with each step, for people.

    Raises:
        RefusedError: A verdict has not passed, or the version is worse than the champion.
        ConflictError: Another promotion runs, or somebody moved the alias meanwhile.
        UnknownVersionError: There is no such version.
        RegistryError: Its files are damaged.
        UnreachableError: The registry does not answer.
        ConnectionError: The Milvus server does not answer.
    """
    with promotion_lock():
        version, before = find_version(name, wanted), find_champion(name)
        check_writable()
        history = read_history(name)
        if not dry_run:
            close_unfinished(history, before)
        bundle = fetch_bundle(version)
        if before is not None and before.number == version.number:
            (check_collections if dry_run else ensure_collections)(bundle)
            return Moved(version, before, moved=False, overridden=())
        report(f"version {version.number}: the digests of its files hold")
        if before is not None and before.revision:
            _note_what_goes(bundle, before, report)
        faults = tuple(_faults(bundle, before, report))
        if faults and not reason:
            raise RefusedError(_refusal(version, faults))
        if dry_run:
            check_collections(bundle)
            return Moved(version, before, moved=False, overridden=faults)
        verify_collections(bundle)
        report("its catalogue is in Milvus, read back and compared with exact search")
        _move("promote", before, version, reason if faults else "", "; ".join(faults))
        tidy_collections(name)
        return Moved(version, before, moved=True, overridden=faults)


def rollback(name: str, report: Report = lambda _: None) -> Moved:
    """Make the champion before this one champion again; nothing of it is computed anew.

    Raises as `promote`.
    """
    with promotion_lock():
        check_writable()
        before = find_champion(name)
        if before is None:
            msg = f"{name} has no champion to roll back from: run `kindred promote`"
            raise RefusedError(msg)
        history = read_history(name)
        close_unfinished(history, before)
        version = _former(before, history, report)
        ensure_collections(fetch_bundle(version))
        report(f"version {version.number}: its files hold, its catalogue is in Milvus")
        _move("rollback", before, version)
        return Moved(version, before, moved=True, overridden=())


def revise(before: Version, folder: Path, changes: str, report: Report = lambda _: None) -> Moved:
    """Make a revision of the champion the champion.

    Args:
        before: The champion that it was made for.
        folder: Its bundle, as `registry.revision` writes it; it is moved away.
        changes: What is other in its catalogue, for the history.
        report: Called with each step, for people.

    Raises as `promote`, but for RefusedError: what its models can do, the verdicts have said.
    """
    name = before.name
    with promotion_lock():
        check_writable()
        champion = find_champion(name)
        close_unfinished(read_history(name), champion)
        if champion is None or champion.number != before.number:
            raise ConflictError(_changed_meanwhile("sync", name))
        version = register_revision(folder, name)
        report(f"it is registered as version {version.label}")
        verify_collections(fetch_bundle(version))
        report("its catalogue is in Milvus, read back and compared with exact search")
        _move("sync", before, version, changes)
        tidy_collections(name)
        return Moved(version, before, moved=True, overridden=())


def tidy(name: str) -> None:
    """Close the records of changes that were killed, and have what the champion serves from.

    Raises as `revise`.
    """
    with promotion_lock():
        champion = find_champion(name)
        close_unfinished(read_history(name), champion)
        if champion is not None:
            ensure_collections(fetch_bundle(champion))


def _note_what_goes(bundle: Bundle, champion: Version, report: Report) -> None:
    """Say how much of a catalogue that was changed after training this version does not have."""
    kept = {product.product_id for product in bundle.read_products()}
    served = fetch_bundle(champion).read_products()
    if gone := [product for product in served if product.product_id not in kept]:
        report(
            f"{len(gone)} products that version {champion.label} serves are not in its catalogue,"
            " and go; `kindred catalog sync FOLDER` brings them back"
        )


def _former(before: Version, history: Sequence[Change], report: Report) -> Version:
    """The champion that a rollback goes to."""
    known = {version.number: version for version in list_versions(before.name)}
    number, gone = former_champion(champions(history, before.number), known)
    for one in gone:
        report(f"version {one}, champion in between, was deleted since: further back")
    if number is None:
        msg = (
            f"version {before.number} is the first champion of {before.name}"
            f"{' that there still is' if gone else ''}, there is none before it:"
            " `kindred promote VERSION` makes another one champion"
        )
        raise RefusedError(msg)
    return known[number]


def _faults(bundle: Bundle, champion: Version | None, report: Report) -> Iterator[str]:
    """Reasons to refuse a candidate."""
    anew = champion is not None and not is_beside(bundle.verdicts, champion.digest)
    for gate in GATES:
        result = outcome(bundle.verdicts, gate)
        reasons = _reasons(bundle, gate)
        if gate == "retrieval" and anew and result == "failed":
            reasons = reasons_apart_from_champion(bundle.verdicts)
            result = "failed" if reasons else "passed"  # but for a champion that is none any more
        report(f"gate {gate}: {result}")
        if result == "missing":
            yield f"the gate {gate} never judged it"
        elif result == "failed":
            yield f"the gate {gate} failed: {'; '.join(reasons)}"
    if champion is not None and anew:
        report(
            f"its verdict is older than the champion (version {champion.number}): comparing both"
        )
        yield from _faults_beside(bundle, champion, report)


def _faults_beside(bundle: Bundle, champion: Version, report: Report) -> Iterator[str]:
    """The comparison that the gate made with another champion or none, by the same rule."""
    found = compare_with(champion, lambda: from_bundle(bundle))
    if isinstance(found, Uncompared):
        yield f"it cannot be compared with the champion, version {champion.number}: {found.fault}"
        return
    regression = find_regression(found, recorded_limits(bundle.verdicts))
    for drop in regression.overall:
        report(f"  {drop.summary()}")
    report(f"  {len(regression.slices)} slices compared")
    for drop in regression.worse:
        yield f"it is worse than the champion, version {champion.number}: {drop.summary()}"


def _reasons(bundle: Bundle, gate: str) -> list[str]:
    return [
        reason
        for name, verdict in bundle.verdicts.items()
        if name == gate or name.startswith(f"{gate}_")
        for reason in verdict.reasons
    ]


def _refusal(version: Version, faults: Sequence[str]) -> str:
    return (
        f"version {version.number} of {version.name} is not promoted: {'; '.join(faults)}."
        ' Make a better one, or insist: kindred promote --force --reason "..."'
    )


def _move(
    action: Action,
    before: Version | None,
    version: Version,
    reason: str = "",
    overridden: str = "",
) -> None:
    run_id = open_change(action, before, version, reason, overridden)
    if champion_number(version.name) != (before.number if before else None):
        close_change(run_id, "abandoned")
        raise ConflictError(_changed_meanwhile(action, version.name))
    set_alias(version, CHAMPION)  # the one write that counts
    close_change(run_id, "done")


def _changed_meanwhile(action: Action, name: str) -> str:
    return (
        f"the champion of {name} changed while this {action} ran;"
        " look at `kindred history`, and run it again"
    )
