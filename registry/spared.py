"""Which versions nothing may be taken from, and what is known of all others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry import tracking
from registry.client import pages, registry_client
from registry.errors import without_password
from registry.history import Change, champions, read_history
from registry.versions import CHAMPION, Version, list_versions

KEPT = 3  # former champions, beside today's


@dataclass(frozen=True)
class Scope:
    """A model's versions as prune sees them."""

    name: str
    versions: tuple[Version, ...]  # all there are
    spared: frozenset[int]  # numbers
    spared_digests: frozenset[str]  # those versions', and all of other models
    past_digests: dict[str, int]  # digest -> number of every version that was champion here

    def digest_of(self, prefix: str) -> str | None:
        """The digest that begins so, of a version that there is or was; None of no other."""
        known = (*(version.digest for version in self.versions), *self.past_digests)
        return next((digest for digest in known if digest.startswith(prefix)), None)

    def describe(self, digest: str | None) -> str:
        """Whose a digest is, in words."""
        for version in self.versions:
            if version.digest == digest:
                return f"of version {version.number}, {self.role(version)}"
        if digest in self.past_digests:
            return f"of version {self.past_digests[digest]}, which was deleted"
        return f"of no version that {without_password(tracking.tracking_uri())} has"

    def role(self, version: Version) -> str:
        """What a version that has no alias was."""
        return "a former champion" if version.digest in self.past_digests else "never champion"


def read_scope(name: str, keep: int = KEPT) -> Scope:
    """Ask the registry what must stay.

    Args:
        name: The registered model.
        keep: So many former champions stay beside today's.

    Raises:
        UnreachableError: The registry does not answer.
    """
    versions, history = list_versions(name), read_history(name)
    spared = spared_versions(versions, history, keep)
    digests = {version.digest for version in versions if version.number in spared}
    for other in _other_models(name):
        digests |= {version.digest for version in list_versions(other)}
    past = {change.after_digest: change.after for change in history if change.outcome == "done"}
    return Scope(name, tuple(versions), frozenset(spared), frozenset(digests), past)


def spared_versions(
    versions: Sequence[Version], history: Sequence[Change], keep: int = KEPT
) -> set[int]:
    """Numbers of versions that stay whole.

    The champion and so many before it that rollback goes to, the last ones that became champion
    whichever way, whatever has an alias, and the trained versions that these are revisions of.
    """
    known = {version.number: version for version in versions}
    champion = next((v.number for v in versions if CHAMPION in v.aliases), None)
    happened = [change for change in history if change.outcome != "abandoned"]
    stack = champions(happened, champion)
    latest = [change.after for change in happened]
    spared = {number for number, version in known.items() if version.aliases}
    for became in (stack, latest):
        newest_first = [n for n in dict.fromkeys(reversed(became)) if n in known]
        spared |= set(newest_first[: keep + 1])
    trained = {known[number].revision_of for number in spared}
    return spared | {number for number in trained if number in known}


def _other_models(name: str) -> Iterator[str]:
    if not tracking.exists():
        return
    with registry_client("list the registered models") as client:
        yield from (m.name for m in pages(client.search_registered_models) if m.name != name)
