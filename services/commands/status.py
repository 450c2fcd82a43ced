"""`kindred status`: the registered versions at a glance."""

from collections.abc import Sequence

from registry.errors import without_password
from registry.headlines import percent
from registry.tracking import tracking_uri
from registry.versions import Version, list_versions, nothing_registered
from services.commands.registry_access import registry_access
from services.commands.tables import as_text, table
from services.http.version_facts import version_facts

_HEADER = (
    "version",
    "alias",
    "labels",
    "retrieval",
    "known wishes",
    "(base)",
    "held-out wishes",
    "(base)",
    "caption@10",
    "concept mAP",
    "registered (UTC)",
)


def read_status(name: str, *, as_json: bool) -> str:
    """What to print about the model `name`.

    Raises:
        CommandError: The registry does not answer.
    """
    with registry_access():
        versions = list_versions(name)
    if as_json:
        return as_text({"name": name, "versions": [_record(version) for version in versions]})
    if not versions:
        said = nothing_registered(name)
        return f"{said[0].upper()}{said[1:]}."
    lines = [
        f"{name} at {without_password(tracking_uri())}",
        "",
        *table([_HEADER, *map(_row, versions)]),
    ]
    return "\n".join([*lines, "", *_notes(versions)])


def _record(version: Version) -> dict[str, object]:
    return {
        "version": version.number,
        "aliases": list(version.aliases),
        **version_facts(version),
        "run_id": version.run_id,
    }


def _row(version: Version) -> tuple[str, ...]:
    return (
        version.label,
        ", ".join(version.aliases) or "-",
        version.verdicts["labels"],
        version.verdicts["retrieval"],
        percent(version.metrics.get("persona_percentile")),
        percent(version.metrics.get("base_persona_percentile")),
        percent(version.metrics.get("held_out_percentile")),
        percent(version.metrics.get("base_held_out_percentile")),
        percent(version.metrics.get("caption_recall_at_10")),
        percent(version.metrics.get("concept_map")),
        f"{version.created:%Y-%m-%d %H:%M}",
    )


def _notes(versions: Sequence[Version]) -> list[str]:
    notes = [
        "known wishes: mean percentile of the teacher's winner for personas that no training saw,"
        " but whose kind of wish it did; held-out wishes: of kinds of wish that no training persona"
        " has. Higher is better."
    ]
    if any(version.revision for version in versions):
        notes.append(
            "A revision has the models of the version that it revises and another catalogue: its"
            " verdicts and numbers are that version's."
        )
    if not any("champion" in version.aliases for version in versions):
        notes.append("No version is champion yet: `kindred promote` makes the challenger champion.")
    return notes
