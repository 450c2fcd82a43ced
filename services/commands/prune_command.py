"""`kindred prune`: what is not needed any more, with sizes; removed where the user says so."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from services.commands.errors import CommandError, Exit
from services.commands.registry_access import registry_access
from services.commands.tables import as_text, print_step, table
from services.commands.verbs import entry_points

if TYPE_CHECKING:
    from registry.pruning import Finder, Pruned, Wanted
    from registry.removal import Kept, Removal

LEFTOVERS = "kindred.leftovers"  # entry points of functions that find what other packages left
_HEADER = ("what", "size", "which", "why")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def run_prune(name: str, *, keep: int, versions: bool, yes: bool, as_json: bool) -> str:
    """What to print; steps go to standard error as they pass.

    Raises:
        CommandError: Something cannot be removed (1), wrong arguments (2), the champion is being
            moved or another prune runs (3), something is unreachable (4).
    """
    if keep < 0:
        msg = f"got --keep {keep}, expected how many former champions stay: 0 at least"
        raise CommandError(msg, Exit.USAGE)
    with registry_access():
        from registry.pruning import Wanted, prune

        wanted = Wanted(keep, versions, yes)
        others = [_private_copies, *map(_quietly, _brought())]
        pruned = prune(name, wanted, others, print_step)
    return as_text(_record(name, wanted, pruned)) if as_json else _lines(wanted, pruned)


def readable(size: float | None) -> str:
    """A size in units that people read; of what a server has, nothing is known."""
    if size is None:
        return "?"
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.1f} {_UNITS[power]}" if power and size < 100 else f"{size:.0f} {_UNITS[power]}"


def _private_copies() -> "Iterator[Removal]":
    """Copies of collections, and what workers shared, of services that are gone."""
    from registry.removal import Removal, bytes_below, remove_path
    from services.search.live import PRIVATE
    from services.search.processes import left_behind

    for path in left_behind(PRIVATE):
        why = "of a process that is gone"
        yield Removal("copy", str(path), bytes_below(path), why, partial(remove_path, path))


def _brought() -> "list[Finder]":
    return [entry.load() for entry in entry_points(LEFTOVERS).values()]


def _quietly(find: "Finder") -> "Finder":
    """What cannot be looked through stays, and is told."""

    def look() -> "list[Removal | Kept]":
        from registry.removal import Kept

        try:
            return list(find())
        except (ValueError, SystemExit) as error:  # params.yaml or dvc.yaml is broken, say
            return [Kept("what the pipeline left", f"not looked at: {error}")]

    return look


def _lines(wanted: "Wanted", pruned: "Pruned") -> str:
    lines = []
    if pruned.going:
        rows = [(one.kind, readable(one.size), one.name, one.why) for one in pruned.going]
        lines += [*table([_HEADER, *rows]), ""]
    lines += [f"stays: {kept.name}: {kept.why}" for kept in pruned.staying]
    return "\n".join([*lines, _summary(wanted, pruned)])


def _summary(wanted: "Wanted", pruned: "Pruned") -> str:
    count = len(pruned.going)
    if not count:
        return "nothing to prune" if not wanted.apply else "nothing was pruned"
    things = f"{count} thing{'s' if count > 1 else ''}, {readable(_sum(pruned))}"
    if any(one.size is None for one in pruned.going):
        things += " and what a server has"
    if wanted.apply:
        return f"pruned {things}"
    return f"{things} could go; nothing changed: add --yes to remove them"


def _record(name: str, wanted: "Wanted", pruned: "Pruned") -> dict[str, Any]:
    return {
        "name": name,
        "keep": wanted.keep,
        "removed": wanted.apply,
        "bytes": _sum(pruned),
        "going": [
            {"kind": one.kind, "name": one.name, "bytes": one.size, "why": one.why}
            for one in pruned.going
        ],
        "staying": [{"name": kept.name, "why": kept.why} for kept in pruned.staying],
    }


def _sum(pruned: "Pruned") -> int:
    return sum(one.size or 0 for one in pruned.going)
