"""`kindred history`: promotions, rollbacks and syncs, newest first."""

from collections.abc import Collection, Mapping, Sequence

from registry.history import Change, champions, former_champion, read_history
from registry.versions import CHAMPION, list_versions
from services.commands.registry_access import registry_access
from services.commands.tables import as_text, table

_HEADER = ("when (UTC)", "what", "from", "to", "outcome", "by", "reason")


def read_changes(name: str, *, as_json: bool) -> str:
    """What to print about the model `name`.

    Raises:
        CommandError: The registry does not answer.
    """
    with registry_access():
        changes = read_history(name)
        versions = list_versions(name)
    labels = {version.number: version.label for version in versions}
    champion = next((v.number for v in versions if CHAMPION in v.aliases), None)
    stack = champions(changes, champion)
    if as_json:
        records = [change.record() for change in reversed(changes)]
        return as_text({"name": name, "champion": champion, "champions": stack, "changes": records})
    last = _last(name, champion, stack, {version.number for version in versions})
    if changes:
        rows = [_row(change, labels) for change in reversed(changes)]
        return "\n".join([*table([_HEADER, *rows]), "", last])
    if champion is None:
        return f"No version of {name} was promoted yet: run `kindred promote`."
    return f"No promotion of {name} is on record (deleted in MLflow, or made past Kindred). {last}"


def _last(name: str, champion: int | None, stack: Sequence[int], known: Collection[int]) -> str:
    """Which version is champion, and what a rollback goes to."""
    if champion is None:
        return f"{name} has no champion now: run `kindred promote`"
    number, gone = former_champion(stack, known)
    past = f" (deleted since: {', '.join(map(str, gone))})" if gone else ""
    if number is None:
        return f"champion: version {champion}; there is none before it to roll back to{past}"
    return f"champion: version {champion}; `kindred rollback` goes to version {number}{past}"


def _row(change: Change, labels: Mapping[int, str]) -> tuple[str, ...]:
    forced = f"{change.reason} (over: {change.overridden})" if change.overridden else change.reason
    return (
        f"{change.began:%Y-%m-%d %H:%M:%S}",
        change.action,
        "-" if change.before is None else labels.get(change.before, str(change.before)),
        labels.get(change.after, str(change.after)),
        change.outcome,
        change.user or "-",
        forced or "-",
    )
