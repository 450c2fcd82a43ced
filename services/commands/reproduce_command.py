"""`kindred reproduce`: a version made again, and in words what of it is as it was."""

import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from registry.errors import RefusedError
from registry.headlines import HEADLINES
from services.commands.registry_access import registry_access
from services.commands.tables import as_text, print_step

if TYPE_CHECKING:
    from registry.reproduction import Reproduction
    from registry.rerun import Change

_SHOWN = 12  # metrics
_WORDS = {"equal": "is equal", "rounding": "is equal within rounding", "differs": "differs"}


@dataclass(frozen=True)
class Told:
    """What to print, and why the exit code is not 0; "" where it is."""

    text: str
    fault: str


def run_reproduce(name: str, wanted: str, *, keep: bool, as_json: bool) -> Told:
    """Make a version again; steps and DVC's lines go to standard error as they pass.

    Raises:
        CommandError: What it was made from is not here (1), there is no such version (2),
            something is unreachable (4).
    """
    given = dict(os.environ)  # before verbs quieten the libraries: stages run as they do else
    signal.signal(signal.SIGTERM, _as_interrupt)  # or the work tree would stay
    with registry_access():
        from registry.reproduction import reproduce
        from registry.versions import find_version

        version = find_version(name, wanted)
        if (trained := version.trained) != version.number:
            msg = (
                f"version {version.number} has the models of version {trained} and another"
                f" catalogue: `kindred reproduce {trained}` makes the models again"
            )
            raise RefusedError(msg)
        done = reproduce(version, given, keep=keep, report=print_step)
    return Told(as_text(_record(done)) if as_json else "\n".join(_lines(done)), _fault(done))


def _fault(done: "Reproduction") -> str:
    if done.likeness != "differs":
        return ""
    number = done.version.number
    if not done.finished:
        return f"version {number} was not made again: a stage failed; what it said is above"
    return f"version {number} does not come out as it was registered"


def _lines(done: "Reproduction") -> list[str]:
    from registry.rounding import TOLERANCE

    count = {key: sum(o.likeness == key for o in done.outputs) for key in _WORDS}
    number = done.version.number
    what = _WORDS[done.likeness] if done.finished else "was not made to the end"
    lines = [
        f"version {number} of {done.version.name}, made again from commit {done.commit[:12]},"
        f" {what}",
        f"  {count['equal']} of {len(done.outputs)} outputs are equal byte for byte,"
        f" {count['rounding']} within rounding (numbers by at most {TOLERANCE:g}),"
        f" {count['differs']} differ",
    ]
    for likeness in ("rounding", "differs"):
        lines += [
            f"  {likeness}: {output.path} ({output.stage}){_after(output.note)}"
            for output in done.outputs
            if output.likeness == likeness
        ]
    lines.append(
        f"  {len(done.left_out)} reports and records of runs are not compared: they name hours and"
        " runs (--json lists them)"
    )
    lines += _metric_lines(done)
    if done.digest == done.version.digest:
        lines.append(f"  its bundle has the same digest: {done.digest}")
    if done.packages:
        lines += [f"  here is {_version_of(one)}" for one in done.packages]
    else:
        lines.append("  Python and the packages are those that it was made with")
    lines += [f"  note: {note}" for note in done.notes]
    if done.folder:
        lines.append(f"  kept: {done.folder} (`git worktree remove --force` on it, later)")
    return lines


def _metric_lines(done: "Reproduction") -> Sequence[str]:
    if not done.metrics:
        return ["  metrics: equal" if done.finished else "  metrics: not made"]
    if all(one.now is None for one in done.metrics):
        return ["  metrics: not made"]
    known = {".".join(path) for path in HEADLINES.values()}
    first = sorted(done.metrics, key=lambda one: (one.name not in known, one.name))[:_SHOWN]
    shown = [f"  metric {one.name}: {one.now} (was {one.was})" for one in first]
    more = len(done.metrics) - len(shown)
    return [*shown, f"  and {more} metrics more; --json has all"] if more else shown


def _version_of(package: "Change") -> str:
    now = "not installed" if package.now is None else package.now
    return f"{package.name} {now} (was {package.was})"


def _after(note: str) -> str:
    return f": {note}" if note else ""


def _record(done: "Reproduction") -> dict[str, Any]:
    return {
        "name": done.version.name,
        "version": done.version.number,
        "commit": done.commit,
        "likeness": done.likeness,
        "finished": done.finished,
        "same_digest": done.digest == done.version.digest,
        "outputs": [asdict(output) for output in done.outputs],
        "left_out": list(done.left_out),
        "metrics": [asdict(change) for change in done.metrics],
        "packages": [asdict(change) for change in done.packages],
        "notes": list(done.notes),
        "folder": str(done.folder) if done.folder else None,
    }


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
