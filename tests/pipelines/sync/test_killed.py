"""A sync that is killed at any step, one of several at once, and what promotion makes of it."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry.catalogue_index import MODELS
from registry.history import read_history
from registry.promotion import promote, rollback
from registry.store import fetch_bundle, register_bundle
from registry.versions import find_champion, list_versions
from retrieval.index.store import LiteStore, collection_key
from services.cli import main
from tests.forks import LIBRARIES, Forks
from tests.pipelines.sync.conftest import TOP, write_version

SYNC = ["catalog", "sync", "shop"]
STEPS = (
    "revising._copy_new", "revising.write_revision", "store.log_bundle", "store._create_version",
    "promotion.register_revision", "promotion.verify_collections", "promotion.open_change",
    "promotion.set_alias", "promotion.close_change", "promotion.tidy_collections",
)  # fmt: skip
MOMENTS = [(STEPS[0], "before"), *((step, "after") for step in STEPS)]
CODE = """
import os, signal, sys
from importlib.metadata import EntryPoint
from pipelines.sync import revising
from registry import promotion, store
from services import cli
from tests.pipelines.sync.conftest import CATALOG, stand_in
stand_in()
cli._brought = lambda: {"catalog": CATALOG}
"""
KILLED = """
module, name = globals()[sys.argv[1].split(".")[0]], sys.argv[1].split(".")[1]
step = getattr(module, name)
def killed(*arguments, **named):
    if sys.argv[2] == "after":
        step(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, killed)
"""
RUN = "\nsys.exit(cli.main(['catalog', 'sync', 'shop']))"
READY = """
import mlflow, pymilvus
print("ready", flush=True)
sys.stdin.readline()
sys.exit(cli.main(sys.argv[1:]))
"""
AT_ONCE = (
    ["promote", "2", "--force", "--reason", "a test"], ["promote", "2", "--force", "--reason", "a"],
    ["rollback"], ["rollback"], ["prune", "--yes"], ["prune", "--keep", "0", "--yes"], SYNC, SYNC,
)  # fmt: skip


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ready(*arguments):
    """A process that has imported everything, and waits for `go`."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE + READY, *arguments],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def served_whole(version):
    keys = {collection_key(version.digest, model) for model in MODELS}
    return keys <= LiteStore(Path("var/milvus")).list_keys()


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment"), MOMENTS)
def test_killed_at_any_step_a_complete_version_serves_and_the_next_sync_completes(
    shop, step, moment
):
    shop.put("n1", seed=100)
    killed = start(CODE + KILLED + RUN, step, moment)
    assert killed.wait() == -9, killed.stderr.read()
    moved = MOMENTS.index((step, moment)) >= MOMENTS.index(("promotion.set_alias", "after"))
    champion = find_champion("kindred")
    assert champion.number == (2 if moved else 1)
    assert served_whole(champion)
    assert main(SYNC) == 0
    champion = find_champion("kindred")
    assert (champion.number, champion.label) == (2, "2 (revision 1 of 1)")
    assert len(list_versions("kindred")) == 2
    assert served_whole(champion)
    history = read_history("kindred")
    assert {change.outcome for change in history} <= {"done", "abandoned"}
    assert [c.action for c in history if c.outcome == "done"] == ["promote", "sync"]
    assert rollback("kindred").version.number == 1


@pytest.mark.slow
def test_killed_at_eight_random_moments_a_complete_version_serves_and_the_next_sync_completes(shop):
    draw, killed = random.Random(0), 0
    imports = "import pipelines.run.params, pipelines.sync.run, pipelines.sync.words"
    with Forks(LIBRARIES + CODE + imports) as forks:
        for number in range(8):
            shop.put(f"n{number}", seed=100 + number)
            ended = forks.run(RUN.strip(), draw.uniform(0, 2.2))  # it takes 2.2
            killed += ended == -signal.SIGKILL
            champion = find_champion("kindred")
            assert served_whole(champion)
            assert fetch_bundle(champion).digest == champion.digest
    assert killed >= 5, "they ended before they were killed"
    assert main(SYNC) == 0
    champion = find_champion("kindred")
    assert served_whole(champion)
    served = {product.product_id for product in fetch_bundle(champion).read_products()}
    assert served >= {f"n{number}" for number in range(8)}
    assert {change.outcome for change in read_history("kindred")} <= {"done", "abandoned"}
    assert rollback("kindred").version.number < champion.number


@pytest.mark.slow
def test_of_eight_verbs_at_once_the_losers_say_why_and_nothing_is_mixed(shop, tmp_path):
    shop.put("n1", seed=100)
    write_version(tmp_path / "next", tmp_path / "made", visual=2.0)
    register_bundle(tmp_path / "next", "kindred")
    running = [ready(*arguments) for arguments in AT_ONCE]
    for process in running:
        go(process)
    said = [process.communicate() for process in running]
    codes = [process.returncode for process in running]
    assert set(codes) <= {0, 1, 3}, said  # 1: a rollback where there is nothing before
    assert 0 in codes
    assert 3 in codes
    for code, (_, errors) in zip(codes, said, strict=True):
        assert code != 3 or "kindred history" in errors or "another sync" in errors, errors
    history = [change for change in read_history("kindred") if change.outcome == "done"]
    champion = find_champion("kindred")
    befores = [change.before for change in history[1:]] + [champion.number]
    assert befores == [change.after for change in history]  # each went on from the one before
    assert served_whole(champion)
    assert fetch_bundle(champion).digest == champion.digest


def test_a_later_version_is_compared_with_the_revision_and_the_stack_holds(shop, tmp_path):
    shop.put("n1", seed=100)
    shop.remove("p5")
    assert main(SYNC) == 0
    write_version(tmp_path / "next", tmp_path / "made", visual=2.0)
    register_bundle(tmp_path / "next", "kindred")
    steps = []
    promote("kindred", report=steps.append)
    assert any("older than the champion (version 2)" in step for step in steps)
    assert any("slices compared" in step for step in steps)
    assert "1 products that version 2 (revision 1 of 1) serves are not in its catalogue" in steps[1]
    assert find_champion("kindred").label == "3"
    shop.put("n2", seed=101)
    assert main(SYNC) == 0
    assert find_champion("kindred").label == "4 (revision 1 of 3)"
    assert [rollback("kindred").version.number for _ in range(3)] == [3, 2, 1]
