"""What was promoted, rolled back and synced, and what that leaves to roll back to.

Each is a MLflow run in the experiment `kindred-promotions`: opened with the intent before the alias
moves, closed after. The alias alone says which version is champion; the runs say how it came to be.
"""

import getpass
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from registry import tracking
from registry.client import pages, registry_client
from registry.experiments import check_experiment, usable_experiment
from registry.versions import Version

EXPERIMENT = "kindred-promotions"
_PAGE = 1_000  # runs a call
_PREFIX = "kindred."

Action = Literal["promote", "rollback", "sync"]
Outcome = Literal["done", "abandoned", "unfinished"]


@dataclass(frozen=True)
class Change:
    """One promotion, rollback or sync."""

    run_id: str
    action: Action
    name: str
    before: int | None  # version numbers
    after: int
    after_digest: str
    outcome: Outcome
    reason: str  # of a forced promotion, "" for one that passed; of a sync, what it changed
    overridden: str  # what was forced aside
    user: str
    began: datetime

    def record(self) -> dict[str, Any]:
        """The same for JSON, where the model is known."""
        return {
            "began": self.began.isoformat(timespec="seconds"),
            "action": self.action,
            "before": self.before,
            "after": self.after,
            "after_sha256": self.after_digest,
            "outcome": self.outcome,
            "reason": self.reason,
            "overridden": self.overridden,
            "user": self.user,
            "run_id": self.run_id,
        }


def read_history(name: str) -> list[Change]:
    """Every change of a model's champion, oldest first.

    Raises:
        RegistryError: The experiment was deleted in MLflow, and the record with it.
        UnreachableError: The registry does not answer.
    """
    if not tracking.exists():
        return []
    with registry_client(f"read the promotions of {name}") as client:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return []
        search = partial(
            client.search_runs,
            [check_experiment(experiment)],
            f"tags.`{_PREFIX}name` = '{name}'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
        )
        return [_change(run) for run in pages(search)]


def open_change(
    action: Action,
    before: Version | None,
    after: Version,
    reason: str = "",
    overridden: str = "",
) -> str:
    """Record what is about to be done, and return the run's id. Raises as `read_history`."""
    tags = {
        "action": action,
        "name": after.name,
        "before": str(before.number) if before else "none",
        "after": str(after.number),
        "after_sha256": after.digest,
        "reason": reason,
        "overridden": overridden,
    }
    with registry_client(f"record the {action}") as client:
        run = client.create_run(
            usable_experiment(EXPERIMENT),
            tags={f"{_PREFIX}{key}": value for key, value in tags.items()}
            | {"mlflow.user": _user()},
            run_name=f"{action} {after.name} {after.number}",
        )
    return str(run.info.run_id)


def close_change(run_id: str, outcome: Outcome) -> None:
    """Record how it ended. Raises as `read_history`."""
    status = "FINISHED" if outcome == "done" else "KILLED"
    with registry_client("close the record of a promotion") as client:
        client.set_terminated(run_id, status)


def close_unfinished(history: Sequence[Change], champion: Version | None) -> None:
    """Close what killed processes left open: done if the alias has moved, else abandoned."""
    for change in history:
        if change.outcome == "unfinished":
            moved = champion is not None and champion.number == change.after
            close_change(change.run_id, "done" if moved else "abandoned")


def champions(history: Sequence[Change], champion: int | None) -> list[int]:
    """The stack of champions, today's last: promotion and sync add one, a rollback takes away.

    What moved the alias past Kindred (MLflow's own page, say) counts as a promotion.
    """
    stack: list[int] = []
    for change in history:
        if change.outcome == "abandoned":
            continue
        if change.outcome == "unfinished" and change.after != champion:
            continue
        if change.before is not None and change.before not in stack[-1:]:
            stack.append(change.before)
        if change.action != "rollback":
            stack.append(change.after)
        else:
            while stack and stack[-1] != change.after:
                stack.pop()
            stack = stack or [change.after]
    if champion is not None and champion not in stack[-1:]:
        stack.append(champion)
    return stack


def former_champion(stack: Sequence[int], known: Collection[int]) -> tuple[int | None, list[int]]:
    """What a rollback goes to: the newest champion before today's that was not deleted since.

    Args:
        stack: As `champions` gives it.
        known: The versions that there are.

    Returns:
        Its number, None where there is none, and the deleted ones that are passed by.
    """
    gone: list[int] = []
    for number in reversed(stack[:-1]):
        if number in known and number != stack[-1]:
            return number, gone
        if number not in known:
            gone.append(number)
    return None, gone


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return str(os.getuid())


def _change(run: Any) -> Change:
    tags = {key.removeprefix(_PREFIX): value for key, value in run.data.tags.items()}
    outcomes: dict[str, Outcome] = {"FINISHED": "done", "RUNNING": "unfinished"}
    return Change(
        run_id=run.info.run_id,
        action=tags["action"],
        name=tags["name"],
        before=None if tags["before"] == "none" else int(tags["before"]),
        after=int(tags["after"]),
        after_digest=tags["after_sha256"],
        outcome=outcomes.get(run.info.status, "abandoned"),
        reason=tags["reason"],
        overridden=tags["overridden"],
        user=tags.get("mlflow.user", ""),
        began=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
    )
