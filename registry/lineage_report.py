"""Everything that is known of where a version comes from, as one record."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from registry.bundle import Bundle
from registry.git_log import find_commit
from registry.history import Change
from registry.lineage import Lineage
from registry.tracking import flatten
from registry.versions import Version

# What a reader looks for first among the outs of all stages; a cycle's labels are added to these.
_KEY_OUTS = (
    "data/catalog/products.parquet",
    "data/catalog/images",
    "data/personas.parquet",
    "data/tournaments.parquet",
    "models/cycles/c0",
    "models/student",
)
_LABELS = "data/labels/"
_NO_LABELS = "data/labels/c0"  # an empty table: no teacher taught the base model


def lineage_record(
    version: Version, bundle: Bundle, history: Iterable[Change], project: Path
) -> dict[str, Any]:
    """Where a version comes from, and what became of it, for JSON.

    Args:
        version: The version.
        bundle: Its files.
        history: All promotions and rollbacks of the model.
        project: A folder in the repository that may know the commit.
    """
    lineage = bundle.lineage
    account = lineage.account
    return {
        "name": version.name,
        "version": version.number,
        "revision": version.revision,
        "revision_of": version.revision_of,
        "aliases": list(version.aliases),
        "registered": version.created.isoformat(timespec="seconds"),
        "bundle_sha256": version.digest,
        "parent": lineage.parent,
        "code": _code(lineage, project),
        "data": {
            "products": _count_products(bundle.folder),
            "personas": _most_first(account.personas) if account else None,
            "queries": len(bundle.read_queries()),
            "wishes": len(bundle.read_wishes()),
            "rankings": account.rankings if account else None,
            "rejects": account.rejects if account else None,
            "dropped": account.dropped if account else None,
            "digests": _key_digests(lineage),
        },
        "teacher": {"settings": lineage.teacher, "prompts": lineage.prompts},
        "asked": {p: one.model_dump() for p, one in account.asked.items()} if account else None,
        "gates": {
            name: {"passed": verdict.passed, "reasons": list(verdict.reasons)}
            for name, verdict in bundle.verdicts.items()
        },
        "metrics": version.metrics,
        "parameters": parameters(lineage),
        "runs": {**lineage.runs, "register": version.run_id},
        "promotions": [one.record() for one in history if version.number == one.after],
        "packages": lineage.packages,
        "python": lineage.python,
        "stages": {name: stage.model_dump() for name, stage in lineage.stages.items()},
        "unknown": _unknown(lineage),
    }


def parameters(lineage: Lineage) -> dict[str, str]:
    """Every parameter that a stage was run with, under its dotted name."""
    found: dict[str, str] = {}
    for stage in lineage.stages.values():
        for section in stage.params.values():  # by file: params.yaml
            found |= flatten(section)
    return dict(sorted(found.items()))


def _code(lineage: Lineage, project: Path) -> dict[str, Any]:
    known = find_commit(project, lineage.git.commit) if lineage.git.commit else None
    account = lineage.account
    return {
        **lineage.git.model_dump(),
        "subject": known.subject if known else None,
        "day": known.day if known else None,
        "register": account.registered_by if account else None,
    }


def _count_products(bundle: Path) -> dict[str, int]:
    """Rows by split, the most first; of the bundle's own table, which a revision changes."""
    import pyarrow.parquet as pq

    splits = pq.read_table(bundle / "products.parquet", columns=["split"])["split"].to_pylist()
    return _most_first(Counter(splits))


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(counts).most_common())


def _key_digests(lineage: Lineage) -> dict[str, str]:
    outs = {path: md5 for stage in lineage.stages.values() for path, md5 in stage.outs.items()}
    labels = sorted(path for path in outs if path.startswith(_LABELS) and path != _NO_LABELS)
    return {path: outs[path] for path in (*_KEY_OUTS, *labels) if path in outs}


def _unknown(lineage: Lineage) -> list[str]:
    """What nobody recorded, in sentences."""
    said = []
    if lineage.account is None:
        said.append(
            "rows that were refused, calls and cost: the release that made this version did not"
            " record them"
        )
    if not lineage.stages:
        said.append("digests and parameters: it was not made by `dvc repro`")
    return said
