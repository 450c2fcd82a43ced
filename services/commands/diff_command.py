"""`kindred diff`: in what one version differs from another, as text, as JSON or as a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.commands.registry_access import registry_access
from services.commands.sections import cut, field, paragraph, some
from services.commands.tables import as_text, print_step, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.differences.measured import Shift
    from registry.differences.records import Pairs, TableDifference
    from registry.differences.versions import VersionDifference
    from registry.git_log import CommitsBetween
    from registry.versions import Version

_FEW = 12  # slices, commits, parameters that the text shows
_VALUE = 36  # letters of one
_TITLES = 3  # of ten hits


def read_diff(name: str, wanted: tuple[str, str], *, as_json: bool, html: str | None) -> str:
    """What to print about two versions of the model `name`; the page is written on the way.

    Raises:
        CommandError: No such version (2), files are damaged or the page cannot be written (1), the
            registry does not answer (4).
    """
    with registry_access():
        from registry.differences.versions import compare_versions, difference_record
        from registry.versions import find_version

        before, after = (find_version(name, one) for one in wanted)
        if before.digest == after.digest:
            return _same(before, wanted, as_json)  # and no page
        found = compare_versions(before, after, Path.cwd(), print_step)
        if html is not None:
            from services.commands.diff_page import write_diff_page

            write_diff_page(Path(html), found)
    if as_json:
        return as_text(difference_record(found))
    text = "\n".join(_lines(found))
    return text if html is None else f"{text}\n\nwrote {html}"


def _same(version: "Version", wanted: tuple[str, str], as_json: bool) -> str:
    if as_json:
        facts = {"name": version.name, "version": version.number, "bundle_sha256": version.digest}
        return as_text({**facts, "same": True})
    first, second = wanted
    both = f"{first} and {second} are" if first != second else f"{first} and {second} name"
    return f"{both} the same version {version.number} of {version.name}: nothing differs"


def named(version: "Version") -> str:
    """A version and its aliases."""
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return f"version {version.label}{aliases}"


def _lines(found: "VersionDifference") -> Iterator[str]:
    yield f"{found.after.name}: from {named(found.before)} to {named(found.after)}"
    for heading, section in _SECTIONS.items():
        lines = list(section(found))
        if lines:
            yield from ("", heading, *lines)
    if found.unknown:
        yield from ("", "Not comparable")
        for words in found.unknown:
            yield from paragraph(words)


def _data(found: "VersionDifference") -> Iterator[str]:
    yield from field("products", tables_in_words(found.products))
    for what in ("added", "removed"):
        ids: Sequence[str] = getattr(found.products, what)
        if ids:
            yield from field("", f"{what}: {some(ids)}")
    if found.products.changed:
        yield from field("", f"changed: {some(list(found.products.changed))}")
    yield from field("wishes", f"trained on: {tables_in_words(found.wishes)}")
    yield from field("", f"held out: {tables_in_words(found.queries)}")
    if found.data:
        yield from field("digests", "differ: " + ", ".join(found.data))


def _labels(found: "VersionDifference") -> Iterator[str]:
    if not found.teacher:
        yield from field("teacher", "the same, its settings and prompts too")
    yield from _pairs(found.teacher)
    yield from _pairs({f"rankings {cycle}": pair for cycle, pair in found.labels.items()})


def _parameters(found: "VersionDifference") -> Iterator[str]:
    yield from _pairs(found.parameters) or paragraph("the same, as far as both recorded them")


def _code(found: "VersionDifference") -> Iterator[str]:
    yield from _commits(found.code.commits)
    for version, clean in zip((found.before, found.after), found.code.clean, strict=True):
        if clean is False:
            yield from field("", f"version {version.number}: its tree held changes besides")
    if found.code.paths:
        yield from field("files", f"differ in {', '.join(found.code.paths)}")


def _commits(commits: "CommitsBetween") -> Iterator[str]:
    if commits.fault:
        yield from field("commits", commits.fault)
    for what, some_commits in (("more", commits.added), ("fewer", commits.removed)):
        if some_commits:
            yield from field("commits", f"{len(some_commits)} {what}")
            for one in some_commits[:_FEW]:
                yield f"    {one.commit[:9]}  {one.day}  {cut(one.subject, 72)}"
    if not (commits.fault or commits.added or commits.removed):
        yield from field("commits", "none between: both were made at the same one")


def _packages(found: "VersionDifference") -> Iterator[str]:
    yield from _pairs(found.packages) or paragraph("the same")


def _metrics(found: "VersionDifference") -> Iterator[str]:
    shifts = found.measured.overall
    if shifts:
        yield from paragraph(
            f"Both on the held-out queries of version {found.after.number}; n counts personas with"
            " a known wish, products, or queries about concepts. Intervals are of the paired"
            f" difference, {100 * found.measured.confidence:g} % all together."
        )
        yield from _shifts(found, shifts)


def _slices(found: "VersionDifference") -> Iterator[str]:
    slices = found.measured.slices
    sure = [shift for shift in slices if shift.is_sure]
    if slices:
        yield from paragraph(
            f"{len(sure)} of {len(slices)} slices differ by more than chance explains (mean"
            f" percentile, {100 * found.measured.confidence:g} % all together)."
        )
    if sure:
        shown = [*sure[: _FEW // 2], *sure[_FEW // 2 :][-_FEW // 2 :]]
        yield from _shifts(found, shown)


def _shifts(found: "VersionDifference", shifts: Sequence["Shift"]) -> list[str]:
    sides = [f"version {version.number}" for version in (found.before, found.after)]
    rows = [
        (
            f"  {shift.what}",
            f"{100 * shift.before:.1f} %",
            f"{100 * shift.after:.1f} %",
            f"{100 * shift.difference:+.1f}",
            f"{100 * shift.low:+.1f} to {100 * shift.high:+.1f}",
            f"{shift.queries:,}",
        )
        for shift in shifts
    ]
    return table([("", *sides, "points", "interval", "n"), *rows])


def _hits(found: "VersionDifference") -> Iterator[str]:
    hits = found.hits
    if hits is None:
        return
    yield from paragraph(
        f"Of {hits.queries:,} queries {hits.same:,} find the same first ten in the same order, and"
        f" {hits.same_first:,} the same first; {hits.mean_kept:.1f} of ten are in both (rank-biased"
        f" overlap {hits.mean_overlap:.2f})."
    )
    for one in hits.most:
        yield ""
        yield f"  {one.overlap:.2f}  {cut(one.text, 90)}"
        for version, row, products in (
            (found.before, one.before, hits.before),
            (found.after, one.after, hits.after),
        ):
            titles = " | ".join(cut(products[id_].title or id_, 25) for id_ in row[:_TITLES])
            yield f"        version {version.number}: {titles}"
    if hits.most:
        yield from ("", *paragraph("The first three of ten; --html FILE has all, with pictures."))


def _pairs(pairs: "Pairs") -> list[str]:
    """Old and new value of each name."""
    rows = [
        (f"  {key}", f"{in_short(old)}  ->  {in_short(new)}") for key, (old, new) in pairs.items()
    ]
    return table(rows) if rows else []


def in_short(value: Any) -> str:
    """A value on part of a line; what is not there is said."""
    return "(none)" if value is None else cut(str(value), _VALUE)


def tables_in_words(rows: "TableDifference") -> str:
    """How many rows there are, and what became of them."""
    if rows.is_empty:
        return f"{rows.after:,}, all the same"
    columns: Mapping[str, int] = rows.changes()
    which = ", ".join(f"{column} {count:,}" for column, count in columns.items())
    changed = f"{len(rows.changed):,} changed" + (f" ({which})" if which else "")
    counts = f"{rows.before:,} -> {rows.after:,}"
    return f"{counts}: {len(rows.added):,} added, {len(rows.removed):,} removed, {changed}"


_SECTIONS = {
    "Data": _data,
    "Labels and teacher": _labels,
    "Parameters": _parameters,
    "Code": _code,
    "Packages": _packages,
    "Metrics": _metrics,
    "Slices": _slices,
    "First ten hits": _hits,
}
