"""The registered versions of a model, and which one a number or an alias means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry import tracking
from registry.bundle import Bundle
from registry.client import registry_client
from registry.errors import RegistryError, UnknownVersionError, without_password
from registry.headlines import HEADLINES, headlines
from registry.logged_model import DIGEST_TAG
from registry.verdicts import GATES, outcomes

CHAMPION = "champion"
CHALLENGER = "challenger"
# Of a version with the models of another one and another catalogue: which one, and the how manieth.
REVISION_OF_TAG = "revision_of"
REVISION_TAG = "revision"
REGISTERED = Path("models/registered.json")  # what the stage `register` leaves


@dataclass(frozen=True)
class Version:
    """A registered version, as its tags tell it: nothing is downloaded for this."""

    name: str
    number: int
    digest: str
    run_id: str
    created: datetime
    aliases: tuple[str, ...]
    verdicts: dict[str, str]  # gate -> passed | failed | missing
    metrics: dict[str, float]  # the headlines
    revision: int = 0  # 1, 2, ... of a version whose catalogue was changed after training
    revision_of: int | None = None  # the version that was trained; None: this one

    @property
    def label(self) -> str:
        """What people call it: "3", or "5 (revision 2 of 3)"."""
        if self.revision_of is None:
            return str(self.number)
        return f"{self.number} (revision {self.revision} of {self.revision_of})"

    @property
    def trained(self) -> int:
        """The version that its models were trained as: itself, if it is no revision."""
        return self.number if self.revision_of is None else self.revision_of


def version_tags(bundle: Bundle) -> dict[str, str]:
    """What a version is tagged with, in the same write that creates it."""
    lineage = bundle.lineage
    return {
        DIGEST_TAG: bundle.digest,
        "git_commit": lineage.git.commit or "none",
        "git_clean": str(lineage.git.clean).lower(),
        "parent": str(lineage.parent or "none"),
        "teacher": str(lineage.teacher.get("kind", "unknown")),
        **{f"verdict.{gate}": result for gate, result in outcomes(bundle.verdicts).items()},
        **{f"metric.{name}": repr(value) for name, value in headlines(bundle.metrics).items()},
    }


def revision_tags(bundle: Bundle, versions: Sequence["Version"]) -> dict[str, str]:
    """What the version of a revision is tagged with besides; {} for another bundle.

    Args:
        bundle: Its bundle.
        versions: Those that there are.
    """
    revision = bundle.lineage.revision
    if revision is None:
        return {}
    taken = [version.revision for version in versions if version.revision_of == revision.of]
    return {REVISION_OF_TAG: str(revision.of), REVISION_TAG: str(max(taken, default=0) + 1)}


def list_versions(name: str) -> list[Version]:
    """All versions of a model, newest first; none where nothing was ever registered.

    What others registered under the name, without a bundle, is left out.

    Raises:
        UnreachableError: The registry does not answer.
    """
    if not tracking.exists():
        return []
    with registry_client(f"list the versions of {name}") as client:
        found = client.search_model_versions(f"name = '{name}'")
        # The search gives no aliases; the model itself does.
        aliases = client.get_registered_model(name).aliases if found else {}
    versions = [_version(entry, aliases) for entry in found if DIGEST_TAG in entry.tags]
    return sorted(versions, key=lambda version: version.number, reverse=True)


def find_version(name: str, wanted: str | None = None) -> Version:
    """The version of a number or an alias; by default the champion, else the challenger.

    Raises:
        RegistryError: Nothing is registered under the name, or the champion is wanted and there is
            none; the message says what to run.
        UnknownVersionError: There is no such version; the message lists those that there are.
        UnreachableError: The registry does not answer.
    """
    versions = list_versions(name)
    if not versions:
        raise RegistryError(nothing_registered(name))
    for candidate in [CHAMPION, CHALLENGER] if wanted is None else [wanted]:
        for version in versions:
            if candidate in (str(version.number), *version.aliases):
                return version
    if wanted == CHAMPION:
        msg = (
            f"{name} has no champion yet: run `kindred promote`, or look at a version before that:"
            " `kindred serve --version challenger`, `kindred search --offline`"
        )
        raise RegistryError(msg)
    msg = f"got version {wanted or CHAMPION!r} of {name}, expected one of {_known(versions)}"
    raise UnknownVersionError(msg)


def nothing_registered(name: str) -> str:
    """What to say where a registry has no version, and what to do."""
    address = without_password(tracking.tracking_uri())
    if REGISTERED.exists():  # of a clone that pulled it; or the registry is another one now
        todo = (
            f"{REGISTERED} is of another registry, `python -m pipelines.register` puts what lies"
            " here into this one"
        )
    else:
        todo = "run `make repro`"
    return f"no version of {name} is registered at {address}: {todo}"


def champion_number(name: str) -> int | None:
    """The champion's version number; None where there is no champion. Raises as `list_versions`."""
    champion = find_champion(name)
    return champion.number if champion else None


def find_champion(name: str) -> Version | None:
    """The champion; None where there is none. Raises as `list_versions`."""
    return next((v for v in list_versions(name) if CHAMPION in v.aliases), None)


def set_alias(version: Version, alias: str) -> None:
    """Point an alias at a version: one write. Raises as `list_versions`."""
    with registry_client(f"move the alias {alias} to version {version.number}") as client:
        client.set_registered_model_alias(version.name, alias, str(version.number))


def _version(entry: Any, aliases: Mapping[str, Any]) -> Version:
    number = int(entry.version)
    measured = {name: entry.tags.get(f"metric.{name}") for name in HEADLINES}
    return Version(
        name=entry.name,
        number=number,
        digest=entry.tags[DIGEST_TAG],
        run_id=entry.run_id or "",
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(alias for alias, v in aliases.items() if int(v) == number)),
        verdicts={gate: entry.tags.get(f"verdict.{gate}", "missing") for gate in GATES},
        metrics={name: float(value) for name, value in measured.items() if value is not None},
        revision=int(entry.tags.get(REVISION_TAG, 0)),
        revision_of=int(of) if (of := entry.tags.get(REVISION_OF_TAG)) else None,
    )


def _known(versions: Sequence[Version]) -> str:
    numbers = [str(version.number) for version in versions]
    aliases = sorted(alias for version in versions for alias in version.aliases)
    return ", ".join([*numbers, *aliases])
