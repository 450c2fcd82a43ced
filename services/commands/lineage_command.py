"""`kindred lineage`: where a version comes from, in sections, as JSON or as a picture."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.commands.errors import CommandError, Exit
from services.commands.registry_access import registry_access
from services.commands.sections import field, in_words, paragraph
from services.commands.tables import as_text, table

_SHORT = 12  # of a digest
# The sections of parameters that shape a model; the others judge, ask or describe.
_SHAPING = ("seed", "catalog", "base", "label", "distill", "concepts")


def read_lineage(name: str, wanted: str | None, *, as_json: bool, graph: str | None) -> str:
    """What to print about a version of the model `name`; the picture is written on the way.

    Raises:
        CommandError: No such version or a wrong suffix (2), the files are damaged or the picture
            cannot be written (1), the registry does not answer (4).
    """
    if graph is not None:
        _check_suffix(graph)
    with registry_access():
        from registry.history import read_history
        from registry.lineage_report import lineage_record
        from registry.store import fetch_bundle
        from registry.versions import find_version

        version = find_version(name, wanted)
        record = lineage_record(version, fetch_bundle(version), read_history(name), Path.cwd())
        if graph is not None:
            _draw(record, Path(graph))
    if as_json:
        return as_text(record)
    text = "\n".join(_lines(record))
    return text if graph is None else f"{text}\n\nwrote {graph}"


def _check_suffix(graph: str) -> None:
    from registry.lineage_drawing import FORMATS

    if Path(graph).suffix.lower() not in FORMATS:
        msg = f"got --graph {graph}, expected a name that ends in {' or '.join(FORMATS)}"
        raise CommandError(msg, Exit.USAGE)


def _draw(record: Mapping[str, Any], path: Path) -> None:
    from registry.lineage_drawing import draw_lineage
    from registry.lineage_graph import lineage_graph

    title = f"Where version {record['version']} of {record['name']} comes from"
    draw_lineage(lineage_graph(record), title, path)


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    aliases = f" ({', '.join(record['aliases'])})" if record["aliases"] else ""
    registered = record["registered"][:16].replace("T", " ")
    yield f"{record['name']} version {record['version']}{aliases}, registered {registered} UTC"
    yield from field("sha256", record["bundle_sha256"])
    if record["revision_of"] is not None:
        words = (
            f"{record['revision']} of version {record['revision_of']}: its models, other products"
        )
        yield from field("revision", words)
    parent = record["parent"]
    yield from field("parent", f"version {parent}, champion then" if parent else "none")
    for heading, section in _SECTIONS.items():
        yield ""
        yield heading
        yield from section(record)
    if record["unknown"]:
        yield ""
        yield "Not known"
        for words in record["unknown"]:
            yield from paragraph(words)


def _code(record: Mapping[str, Any]) -> Iterator[str]:
    code = record["code"]
    if code["commit"] is None:
        yield from field("commit", f"none: {code['note']}")
    else:
        about = f" of {code['day']}, {code['subject']!r}" if code["subject"] else ""
        yield from field("commit", f"{code['commit'][:_SHORT]}{about}; {code['note']}")
    packages = [f"{name} {version}" for name, version in record["packages"].items()]
    yield from field("packages", ", ".join([f"Python {record['python']}", *packages]))


def _data(record: Mapping[str, Any]) -> Iterator[str]:
    data = record["data"]
    yield from field("products", in_words(data["products"]))
    if data["personas"] is None:
        words = f"{data['wishes']:,} with a label, {data['queries']:,} held out"
    else:
        words = f"{in_words(data['personas'])}; {data['wishes']:,} have a label"
    yield from field("personas", words)
    if data["rankings"] is not None:
        yield from field("rankings", in_words(data["rankings"]))
    if data["rejects"] is not None:
        yield from field("refused", in_words(data["rejects"], "no row"))
    if data["dropped"]:
        yield from field("left out", f"personas: {in_words(data['dropped'])}")
    if data["digests"]:
        yield from table(
            [("  DVC has", "md5"), *((f"  {p}", md5) for p, md5 in data["digests"].items())]
        )


def _teacher(record: Mapping[str, Any]) -> Iterator[str]:
    settings = dict(record["teacher"]["settings"])
    kind = str(settings.pop("kind", "unknown"))
    values = ", ".join(f"{key} {value}" for key, value in settings.items())
    yield from field("kind", f"{kind}: {values}" if values else kind)
    for path, digest in (record["teacher"]["prompts"] or {}).items():
        yield from field("prompt", f"{path} sha256 {digest[:_SHORT]}")
    if record["asked"]:
        header = ("  asked for", "calls", "failed", "tokens in", "out", "cost")
        yield from table([header, *(_asked(*one) for one in record["asked"].items())])


def _asked(purpose: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("calls", "failures", "input_tokens", "output_tokens")
    counts = ["-" if one[key] is None else f"{one[key]:,}" for key in keys]
    cost = "see `kindred labels cost`" if one["cost_usd"] is None else f"${one['cost_usd']:,.2f}"
    return (f"  {purpose}", *counts, cost)


def _gates(record: Mapping[str, Any]) -> Iterator[str]:
    for name, gate in record["gates"].items():
        reasons = f": {'; '.join(gate['reasons'])}" if gate["reasons"] else ""
        yield from field(name, f"{'passed' if gate['passed'] else 'failed'}{reasons}")
    if not record["gates"]:
        yield from paragraph("none has judged it")


def _parameters(record: Mapping[str, Any]) -> Iterator[str]:
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in record["parameters"].items():
        section, _, key = name.partition(".")
        sections[section].append(f"{key} {value}" if key else value)
    for section in _SHAPING:
        if section in sections:
            yield from field(section, ", ".join(sections.pop(section)))
    if sections:
        yield from paragraph(f"--json has those of {', '.join(sections)} too")
    if not record["parameters"]:
        yield from paragraph("not recorded")


def _runs(record: Mapping[str, Any]) -> Iterator[str]:
    yield from table([(f"  {stage}", run) for stage, run in record["runs"].items()])


def _promotions(record: Mapping[str, Any]) -> Iterator[str]:
    for one in record["promotions"]:
        when = one["began"][:16].replace("T", " ")
        before = f", before it version {one['before']}" if one["before"] else ""
        forced = f", forced: {one['reason']}" if one["overridden"] else ""
        by = f" by {one['user']}" if one["user"] else ""
        yield from field(one["action"], f"{when} UTC{by}: {one['outcome']}{before}{forced}")
    if not record["promotions"]:
        yield from paragraph("never champion")


_SECTIONS = {
    "Code": _code,
    "Data": _data,
    "Teacher": _teacher,
    "Gates": _gates,
    "Promotions": _promotions,
    "MLflow runs": _runs,
    "Parameters": _parameters,
}
