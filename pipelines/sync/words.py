"""What `kindred catalog sync` says in the end."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.run.params import Params
from pipelines.sync.run import REJECTS, Synced
from retrieval.storage.files import number_at

_SHOWN = 3


def describe(done: Synced, params: Params) -> Iterator[str]:
    """The lines to print."""
    difference = done.found.difference
    changes = {"new": difference.added, "changed": difference.changed}
    for what, ids in {**changes, "removed": difference.removed}.items():
        if ids:
            yield f"{what}: {len(ids)} ({_some(ids)})"
    if done.found.rejects:
        yield _rejected(done)
    yield _outcome(done)
    if difference.added or difference.repictured:
        yield _loss(done)
    if not difference.is_empty:
        yield _next_run(done.asked.folder, params)


def _outcome(done: Synced) -> str:
    version = done.before.version
    if done.after:
        return (
            f"version {done.after.label} is the champion of {version.name} (before: version"
            f" {version.label}); a running service takes it over by itself, `kindred rollback`"
            " undoes it"
        )
    if done.found.difference.is_empty:
        return f"version {version.label} serves these products already; nothing changed"
    return f"version {version.label} would get a revision; nothing changed"


def _some(ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _rejected(done: Synced) -> str:
    rejects = done.found.rejects
    gone = {reject.id for reject in rejects} & set(done.found.difference.removed)
    served = f"; {len(gone)} of these products are served today, and go" if gone else ""
    return f"rejected: {len(rejects)} rows, listed in {REJECTS}{served}"


def _loss(done: Synced) -> str:
    """What the evaluation says of products that no teacher ranked."""
    seen, unseen = (
        number_at(done.before.bundle.metrics, "slices", "kinds", value, "student")
        for value in ("seen", "unseen")
    )
    if seen is None or unseen is None:
        return "no teacher ranked the new products; what they lose by that was not measured"
    return (
        f"no teacher ranked the new products. Of a kind that it did rank, what people want stands"
        f" at {100 * seen:.1f} % on average (100 % is first), of other kinds at"
        f" {100 * unseen:.1f} %, by this version's evaluation"
    )


def _next_run(folder: Path, params: Params) -> str:
    catalog = params.catalog
    if catalog.source == "folder" and catalog.folder.resolve() == folder.resolve():
        return "the next `dvc repro` includes these products: it reads this folder"
    reads = "the studio" if catalog.source == "studio" else str(catalog.folder)
    return (
        f"the next `dvc repro` does not include these products: it reads {reads}"
        " (catalog.source and catalog.folder in params.yaml)"
    )
