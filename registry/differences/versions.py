"""Everything in which one version differs from another."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from registry.bundle import Bundle, Product
from registry.comparison import Candidate, from_bundle
from registry.differences.code import CodeDifference, compare_code, compare_data
from registry.differences.hits import HitChanges, compare_hits, read_by_id
from registry.differences.measured import Measured, Shift, measure
from registry.differences.records import (
    Pairs,
    TableDifference,
    compare_tables,
    compare_values,
    product_values,
    query_values,
    wish_values,
)
from registry.errors import RegistryError
from registry.lineage import Lineage
from registry.lineage_report import parameters
from registry.store import fetch_bundle
from registry.tracking import flatten
from registry.versions import Version

Report = Callable[[str], None]

EXAMPLES = 10  # products of each kind of change that are kept with their pictures


@dataclass(frozen=True)
class VersionDifference:
    """What `kindred diff` shows: from the first version to the second."""

    before: Version
    after: Version
    products: TableDifference
    wishes: TableDifference  # of training personas that have a label
    queries: TableDifference  # of held-out personas
    labels: Pairs  # cycle -> rankings
    teacher: Pairs  # settings and prompts
    parameters: Pairs
    code: CodeDifference
    data: Pairs  # path -> DVC's digests
    packages: Pairs
    headlines: dict[str, tuple[float | None, float | None]]  # each by its own evaluation
    measured: Measured
    hits: HitChanges | None
    examples: tuple[
        Mapping[str, Product], Mapping[str, Product]
    ]  # of changed products: before, after
    unknown: tuple[str, ...]  # what cannot be said, in sentences


def compare_versions(
    before: Version, after: Version, project: Path, report: Report = lambda _: None
) -> VersionDifference:
    """Compare two registered versions.

    Args:
        before: The first.
        after: The second, whose queries both are asked.
        project: A folder in the repository that may know their commits.
        report: Called with each step, for people.

    Raises:
        RegistryError: What the registry holds is not what was registered.
        UnreachableError: A bundle cannot be downloaded.
    """
    first, second = fetch_bundle(before), fetch_bundle(after)
    report(f"versions {before.number} and {after.number}: the digests of their files hold")
    old, new = first.lineage, second.lineage
    # One after the other: a catalogue's pictures need not be in memory twice.
    values = [product_values(bundle.read_products()) for bundle in (first, second)]
    products = compare_tables(*values)
    report("their catalogues are compared; both answer the queries of the second")
    measured, hits, faults = _both_answer(before, first, second)
    queries = compare_tables(
        query_values(first.read_queries()), query_values(second.read_queries())
    )
    if not queries.is_empty:
        faults.append(
            "the numbers that `kindred status` shows: each version's are about its own held-out"
            " queries, and these differ"
        )
    if products.is_disjoint:
        faults.append(
            "hits: no product, by its id, is in both catalogues, so none is found by both"
        )
    names = sorted(before.metrics.keys() | after.metrics.keys())
    return VersionDifference(
        before=before,
        after=after,
        products=products,
        wishes=compare_tables(wish_values(first.read_wishes()), wish_values(second.read_wishes())),
        queries=queries,
        labels=_compare_rankings(old, new),
        teacher=compare_values(_teacher(old), _teacher(new)),
        parameters=compare_values(parameters(old), parameters(new)) if _staged(old, new) else {},
        code=compare_code(old, new, project),
        data=compare_data(old, new),
        packages=compare_values(
            old.packages | {"python": old.python}, new.packages | {"python": new.python}
        ),
        headlines={name: (before.metrics.get(name), after.metrics.get(name)) for name in names},
        measured=measured,
        hits=hits,
        examples=_examples(products, first, second),
        unknown=(*measured.notes, *faults, *_unrecorded(before, old), *_unrecorded(after, new)),
    )


def difference_record(found: VersionDifference) -> dict[str, Any]:
    """The same for JSON; of the hits, ids instead of pictures."""
    measured, hits = found.measured, found.hits
    return {
        "name": found.after.name,
        "before": _side(found.before),
        "after": _side(found.after),
        "same": False,
        "products": asdict(found.products),
        "wishes": asdict(found.wishes),
        "queries": asdict(found.queries),
        "labels": found.labels,
        "teacher": found.teacher,
        "parameters": found.parameters,
        "code": asdict(found.code),
        "data": found.data,
        "packages": found.packages,
        "headlines": found.headlines,
        "confidence": measured.confidence,
        "metrics": [_shift(one) for one in measured.overall],
        "slices": [_shift(one) for one in measured.slices],
        "small_slices": list(measured.small),
        "hits": None if hits is None else _hits(hits),
        "unknown": list(found.unknown),
    }


def _both_answer(
    before: Version, first: Bundle, second: Bundle
) -> tuple[Measured, HitChanges | None, list[str]]:
    """What both make of the second version's queries; what prevents it is said."""
    try:
        asked: Candidate = from_bundle(second)
    except (ValueError, OSError, RuntimeError) as error:
        return Measured(), None, [f"metrics, slices and hits: {error}"]
    measured = measure(before, first, second, asked)
    if not asked.queries:
        return measured, None, ["hits: the second version has no queries"]
    try:
        return measured, compare_hits(first, second, asked), []
    except (ValueError, OSError, RuntimeError, RegistryError) as error:
        return measured, None, [f"hits: {error}"]


def _examples(
    found: TableDifference, first: Bundle, second: Bundle
) -> tuple[Mapping[str, Product], Mapping[str, Product]]:
    """The first few products that changed, were removed or added."""
    changed = list(found.changed)[:EXAMPLES]
    old, new = [*changed, *found.removed[:EXAMPLES]], [*changed, *found.added[:EXAMPLES]]
    return read_by_id(first, old), read_by_id(second, new)


def _compare_rankings(before: Lineage, after: Lineage) -> Pairs:
    if before.account is None or after.account is None:
        return {}
    return compare_values(before.account.rankings, after.account.rankings)


def _teacher(lineage: Lineage) -> dict[str, Any]:
    return flatten(lineage.teacher) | (lineage.prompts or {})


def _staged(*lineages: Lineage) -> bool:
    return all(lineage.stages for lineage in lineages)


def _unrecorded(version: Version, lineage: Lineage) -> list[str]:
    said = []
    if not lineage.stages:
        said.append(f"parameters and digests: version {version.number} was not made by `dvc repro`")
    if lineage.account is None:
        said.append(f"rankings by cycle: version {version.number} is older than their record")
    return said


def _side(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "aliases": list(version.aliases),
        "bundle_sha256": version.digest,
        "registered": version.created.isoformat(timespec="seconds"),
    }


def _shift(shift: Shift) -> dict[str, Any]:
    numbers = {
        name: _number(value) if isinstance(value, float) else value
        for name, value in asdict(shift).items()
    }
    return {**numbers, "is_sure": shift.is_sure}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _hits(hits: HitChanges) -> dict[str, Any]:
    return {
        "queries": hits.queries,
        "same": hits.same,
        "same_first": hits.same_first,
        "mean_overlap": hits.mean_overlap,
        "mean_kept": hits.mean_kept,
        "most": [{**asdict(one), "kept": one.kept} for one in hits.most],
    }
