"""Killed anywhere, one complete version serves, and the next run completes; several at once."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.errors import RefusedError
from registry.history import read_history
from registry.promotion import promote, rollback
from registry.pruning import Wanted, prune
from registry.store import fetch_bundle
from registry.stored_models import has_files
from registry.versions import champion_number, find_champion, list_versions
from tests.forks import LIBRARIES, Forks
from tests.registry.promoted import NAME, STORE, keys_of

pytestmark = pytest.mark.slow

EVERYTHING = Wanted(keep=0, versions=True, apply=True)


@dataclass(frozen=True)
class Verb:
    """What changes the registry, and its steps: functions that it calls, in their order."""

    call: str  # in Python, with `promotion`, `pruning` and `stored_models` imported
    steps: Sequence[str]
    moves_at: str | None  # the step that moves the champion; None: no step does
    champions: tuple[int, int]  # before and after
    again: Callable[[], object]
    """What the user runs next; nothing is left to do after it."""


def _rollback_again() -> None:
    """Where the alias had moved, the rollback is done: there is nothing before version 1."""
    if champion_number(NAME) == 2:
        rollback(NAME)
    else:
        with pytest.raises(RefusedError, match="first champion"):
            rollback(NAME)


_OPEN_TO_CLOSE = ("promotion.open_change", "promotion.set_alias", "promotion.close_change")
# Champions before each were 1 and 2, in this order, or 1 alone before `promote`.
VERBS = {
    "promote": Verb(
        "promotion.promote('kindred', '2', reason='a test')",
        ("promotion.verify_collections", *_OPEN_TO_CLOSE, "promotion.tidy_collections"),
        "promotion.set_alias",
        (1, 2),
        lambda: promote(NAME, "2", reason="a test"),
    ),
    "rollback": Verb(
        "promotion.rollback('kindred')",
        ("promotion.ensure_collections", *_OPEN_TO_CLOSE),
        "promotion.set_alias",
        (2, 1),
        _rollback_again,
    ),
    "prune": Verb(
        "pruning.prune('kindred', pruning.Wanted(0, versions=True, apply=True))",
        (
            "pruning._drop", "pruning._remove_bundle", "pruning.remove_whole",
            "removal.remove_path", "stored_models._remove_version", "stored_models._remove_model",
            "stored_models._remove_artifacts",
        ),
        None,
        (2, 2),
        lambda: prune(NAME, EVERYTHING),
    ),
}  # fmt: skip
KILLS = [
    (verb, step, moment)
    for verb, what in VERBS.items()
    for step, moment in ((what.steps[0], "before"), *((step, "after") for step in what.steps))
]
KILLING = """
import os, signal
from datetime import timedelta
from registry import promotion, pruning, removal, stored_models
stored_models.FRESH = timedelta(0)
step = {step}
def killed(*arguments, **named):
    if {moment!r} == "after":
        step(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
{step} = killed
{call}
"""
IMPORTS = """
from datetime import timedelta
from registry import promotion, pruning, removal, stored_models
stored_models.FRESH = timedelta(0)
"""
READY = """
import sys
from datetime import timedelta
from pathlib import Path
import mlflow, pymilvus
from registry import promotion, pruning, removal, stored_models
stored_models.FRESH = timedelta(0)
print("ready", flush=True)
sys.stdin.readline()
{call}
"""


def check_that_one_complete_version_serves():
    champion = find_champion(NAME)
    assert champion is not None
    assert keys_of(champion.number) <= STORE.list_keys()
    bundle = fetch_bundle(champion)
    assert bundle.digest == champion.digest
    for key in keys_of(champion.number):
        STORE.open(key).close()
    for version in list_versions(NAME):  # none is listed without its files
        assert has_files(version, fetch_bundle(version).folder)


@pytest.mark.parametrize(("verb", "step", "moment"), KILLS)
def test_killed_at_any_step_one_champion_serves_and_the_next_run_completes(
    registered, verb, step, moment
):
    what = VERBS[verb]
    promote(NAME, "1")
    if verb != "promote":
        promote(NAME, "2", reason="a test")
    code = KILLING.format(step=step, moment=moment, call=what.call)
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    moved = what.moves_at is not None and KILLS.index((verb, step, moment)) >= KILLS.index(
        (verb, what.moves_at, "after")
    )
    assert champion_number(NAME) == what.champions[moved]
    check_that_one_complete_version_serves()
    what.again()
    assert champion_number(NAME) == what.champions[1]
    check_that_one_complete_version_serves()
    assert {change.outcome for change in read_history(NAME)} <= {"done", "abandoned"}
    prune(NAME, EVERYTHING)
    assert prune(NAME, EVERYTHING).going == ()
    assert not [*Path("var").rglob(".dropped.*"), *Path("var").rglob(".making.*")]


def start(call):
    """A process that has imported everything, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", READY.format(call=call)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def test_killed_at_nine_random_moments_one_complete_version_serves(registered):
    """Beside eight of a sync (test_killed.py) and three of packaging (test_packaging.py)."""
    draw, killed = random.Random(0), 0
    promote(NAME, "1")
    # And how long each takes on two idle cores.
    verbs = (("promotion.promote", 1.6), ("promotion.rollback", 0.3), ("pruning.prune", 0.4))
    with Forks(LIBRARIES + IMPORTS) as forks:
        for number in range(9):
            verb, seconds = verbs[number % len(verbs)]
            if verb == "promotion.rollback" and champion_number(NAME) == 1:
                promote(NAME, "2", reason="a test")  # else there is nothing before it
            other = 3 if champion_number(NAME) == 2 else 2
            arguments = {
                "promotion.promote": f"'{other}', reason='a test'",
                "pruning.prune": "pruning.Wanted(0, apply=True)",
            }.get(verb, "")
            ended = forks.run(f"{verb}('kindred', {arguments})", draw.uniform(0, seconds))
            killed += ended == -signal.SIGKILL
            check_that_one_complete_version_serves()
    assert killed >= 5, "they ended before they were killed"
    promote(NAME, "2", reason="a test")
    promote(NAME, "3", reason="a test")
    assert rollback(NAME).version.number == 2
    assert {change.outcome for change in read_history(NAME)} <= {"done", "abandoned"}


AT_ONCE = (
    ["promote", "2", "--force", "--reason", "a test"],
    ["promote", "3", "--force", "--reason", "a test"],
    ["promote", "2", "--force", "--reason", "a test"],
    ["rollback"],
    ["rollback"],
    ["prune", "--keep", "0", "--yes"],
    ["prune", "--keep", "1", "--yes", "--versions"],
    ["prune", "--yes"],
)


def test_of_eight_at_once_the_losers_say_why_and_nothing_is_mixed(registered):
    promote(NAME, "1")
    promote(NAME, "2", reason="a test")
    before = len(read_history(NAME))
    running = [
        start(f"from services.cli import main; sys.exit(main({arguments!r}))")
        for arguments in AT_ONCE
    ]
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate() for process in running]
    codes = [process.returncode for process in running]
    assert set(codes) <= {0, 1, 3}, said  # 1: a rollback where there is nothing before
    assert codes.count(0) >= 1, said
    assert codes.count(3) >= 4, codes
    for code, (_, errors) in zip(codes, said, strict=True):
        if code == 3:
            assert (
                "another promotion, rollback, sync or prune has var/locks/promotion.lock" in errors
            )
            assert len(errors.strip().splitlines()) == 1
    history = read_history(NAME)
    assert all(change.outcome == "done" for change in history)
    champions = [change.before for change in history[1:]] + [champion_number(NAME)]
    assert champions == [change.after for change in history]  # each went on from the one before
    assert len(history) - before <= codes.count(0)
    check_that_one_complete_version_serves()
