"""What never changes about a registered version, as JSON has it: on the terminal and over HTTP."""

from registry.versions import Version


def version_facts(version: Version) -> dict[str, object]:
    """Verdicts, headline metrics, time of registration (UTC, ISO 8601) and digest.

    And which revision it is of which version: 0 and null for one that was trained.
    """
    return {
        "revision": version.revision,
        "revision_of": version.revision_of,
        "verdicts": version.verdicts,
        "metrics": version.metrics,
        "registered": version.created.isoformat(timespec="seconds"),
        "bundle_sha256": version.digest,
    }
