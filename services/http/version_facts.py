"""What never changes about a registered version, as JSON has it: on the terminal and over HTTP."""

from registry.versions import Version


def version_facts(version: Version) -> dict[str, object]:
    """Verdicts, headline metrics, time of registration (UTC, ISO 8601) and digest."""
    return {
        "verdicts": version.verdicts,
        "metrics": version.metrics,
        "registered": version.created.isoformat(timespec="seconds"),
        "bundle_sha256": version.digest,
    }
