"""Workers of one service wait for each other before they swap."""

import asyncio
import dataclasses
import threading
import time

import pytest

from services.search.live import Live
from services.search.peers import Peers
from services.search.teaching import Taught
from services.sharing import concepts as concepts_module
from services.sharing.concepts import Concepts
from services.store.concepts import ConceptStore
from services.store.database import open_database
from services.store.tenants import LOCAL
from tests.services.fake_source import FakeSource
from tests.services.tiny_engine import TinyEngine, photo

OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def workers(tmp_path):
    dead = set()
    made = [Peers(tmp_path / "peers", pid, lambda pid: pid not in dead) for pid in (1, 2, 3)]
    for one in made:
        one.announce(OLD, "ready", 1.0)
    made[0].dead = dead
    return made


def waits(peers, digest=NEW, looked=10.0):
    """Whether it would still wait after a moment, or what it says."""
    began = time.monotonic()
    says = peers.wait_for(digest, looked, patience=0.5)
    return "waits" if time.monotonic() - began >= 0.5 else says


def test_a_worker_waits_for_those_that_have_not_noticed_or_not_opened_yet(workers):
    one, two, three = workers
    one.announce(NEW, "ready", 10.0)
    assert waits(one) == "waits"
    two.announce(NEW, "ready", 11.0)
    three.announce(NEW, "opening", 12.0)
    assert waits(one) == "waits"
    three.announce(NEW, "ready", 12.0)
    assert waits(one) is True


@pytest.mark.parametrize("way", ["dead", "left", "failed"])
def test_it_waits_for_nobody_who_will_not_come(workers, way):
    one, two, three = workers
    for ready in (one, two):
        ready.announce(NEW, "ready", 10.0)
    if way == "dead":
        one.dead.add(3)
    elif way == "left":
        three.leave()
    else:
        three.announce(NEW, "failed", 10.0)
    assert waits(one) is True


def test_where_another_found_a_later_version_it_looks_again(workers):
    one, two, _ = workers
    one.announce(NEW, "ready", 10.0)
    two.announce(NEWER, "opening", 10.5)
    assert waits(one) is False
    assert waits(two, NEWER, 10.5) == "waits"


def test_they_go_on_at_the_same_moment(workers):
    """Each looks again and again, at times of its own: what counts is when the last was ready."""
    went = {}

    def wait(worker, seconds):
        time.sleep(seconds)
        worker.announce(NEW, "ready", 10.0)
        assert worker.wait_for(NEW, 10.0)
        went[worker] = time.monotonic()

    threads = [
        threading.Thread(target=wait, args=(worker, seconds))
        for worker, seconds in zip(workers, (0.0, 0.31, 0.52), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert max(went.values()) - min(went.values()) < 0.04


def test_two_workers_swap_at_the_same_time_though_one_opens_for_longer(
    version, tower, tmp_path, monkeypatch
):
    from tests.services.fake_engine import make_product

    newer = dataclasses.replace(version, number=4, digest=NEW)
    swapped = {}

    def worker(pid, seconds):
        live = Live(FakeSource())
        live._engine = TinyEngine(version, tower, make_product(1), tmp_path / f"{pid}")
        live._peers = Peers(tmp_path / "peers", pid, lambda _: True)
        live._announce(version, "ready", 0.0)
        live.source.version = newer

        def open_(wanted):
            time.sleep(seconds)
            return TinyEngine(wanted, tower, make_product(1), tmp_path / f"{pid}.new")

        live._open = open_
        both.wait()
        asyncio.run(live.follow())
        assert live.engine.version is newer
        swapped[pid] = time.monotonic()
        live.close()

    both = threading.Barrier(2)
    threads = [threading.Thread(target=worker, args=how) for how in ((1, 0.0), (2, 1.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert abs(swapped[1] - swapped[2]) < 0.8


def test_one_worker_learns_for_all(version, engine, live, tmp_path, monkeypatch):
    monkeypatch.setattr(concepts_module, "LOCKS", tmp_path / "locks")
    store = ConceptStore(open_database(f"sqlite:///{tmp_path}/kindred.db"))
    lessons = []
    learn = concepts_module.learn

    def counted(engine, some):
        lessons.extend(lesson.name for lesson in some)
        time.sleep(0.2)
        return learn(engine, some)

    monkeypatch.setattr(concepts_module, "learn", counted)
    ours, theirs = Concepts(live, store), Concepts(live, store)
    asyncio.run(ours.teach(LOCAL, Taught("mug", "mug", (photo(),))))
    newer = dataclasses.replace(version, number=4, digest=NEW)
    engine.version = newer
    threads = [threading.Thread(target=one.learn_all, args=(engine,)) for one in (ours, theirs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert lessons == ["mug"]
    assert store.lacking(NEW, 10) == []
    live.close()
