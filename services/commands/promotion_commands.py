"""`kindred promote` and `kindred rollback`: the steps as they pass, and what came of it."""

from typing import TYPE_CHECKING

from services.commands.errors import CommandError, Exit
from services.commands.registry_access import registry_access
from services.commands.tables import print_step

if TYPE_CHECKING:
    from registry.versions import Version


def run_promote(name: str, wanted: str, *, dry_run: bool, force: bool, reason: str) -> str:
    """What to print at the end; steps go to standard error as they pass.

    Raises:
        CommandError: Refused (1), wrong arguments or no such version (2), somebody else is at it
            (3), something unreachable (4).
    """
    if force and not reason.strip():
        msg = 'got --force without --reason, expected why: --force --reason "..."; it is recorded'
        raise CommandError(msg, Exit.USAGE)
    if reason and not force:
        msg = "got --reason without --force, which it is for"
        raise CommandError(msg, Exit.USAGE)
    with registry_access():
        from registry.promotion import promote

        done = promote(name, wanted, dry_run=dry_run, reason=reason.strip(), report=print_step)
    number = done.version.number
    if done.before is not None and done.before.number == number:
        return f"version {number} is the champion of {name} already"
    former = _former(done.before)
    if dry_run:
        aside = f"; forced over: {'; '.join(done.overridden)}" if done.overridden else ""
        return f"version {number} can become the champion of {name}{former}; nothing changed{aside}"
    forced = f", forced over: {'; '.join(done.overridden)}" if done.overridden else ""
    return (
        f"version {number} is the champion of {name}{former}{forced}; a running service takes it"
        " over by itself, `kindred serve` starts one"
    )


def run_rollback(name: str) -> str:
    """What to print. Raises as `run_promote`."""
    with registry_access():
        from registry.promotion import rollback

        done = rollback(name, print_step)
    return (
        f"version {done.version.number} is the champion of {name} again{_former(done.before)};"
        " a running service takes it over by itself"
    )


def _former(champion: "Version | None") -> str:
    return f" (before: version {champion.number})" if champion else ""
