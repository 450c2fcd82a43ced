"""What is taught is kept whole, found by its owner alone, and forgotten to the last byte."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from retrieval.concepts.concept import Concept
from services.store.concepts import TakenError

PHOTOS = [b"\xff\xd8first" * 900, b"\xff\xd8second" * 900]
VERSION = "d" * 64


def concept(name="mug", noun="mug", seed=0):
    generator = torch.Generator().manual_seed(seed)
    a_Rd, b_Rd = (torch.randn(2, 6, generator=generator) for _ in range(2))
    return Concept(name, noun, "sks", a_Rd, b_Rd, "b" * 64)


def put(store, name="mug", *, tenant="ann", replace=None, photos=PHOTOS, **changes):
    return store.put(tenant, concept(name, **changes), photos, VERSION, replace)


def test_what_is_stored_is_what_is_read(store):
    stored = put(store, "Ünï ☂ \u202eab")
    assert store.find("ann", stored.name) == stored
    assert store.list_all("ann") == [stored]
    assert (stored.noun, stored.photos) == ("mug", 2)
    assert stored.created.utcoffset().total_seconds() == 0
    assert store.photos("ann", stored.name) == PHOTOS
    assert [store.photo("ann", stored.name, at) for at in (0, 1, 2, -1)] == [*PHOTOS, None, None]
    ((found, learned),) = store.learned("ann", [stored.name], VERSION).values()
    expected = concept(stored.name)
    assert found == stored
    assert (learned.name, learned.noun, learned.identifier, learned.base) == (
        stored.name, "mug", "sks", "b" * 64
    )  # fmt: skip
    assert torch.equal(learned.a_Rd, expected.a_Rd)
    assert torch.equal(learned.b_Rd, expected.b_Rd)


def test_another_tenant_has_none_of_it(store):
    put(store)
    assert store.list_all("bob") == []
    assert store.find("bob", "mug") is None
    assert store.photos("bob", "mug") == []
    assert store.photo("bob", "mug", 0) is None
    assert store.learned("bob", ["mug"], VERSION) == {}
    assert store.forget("bob", "mug") is False
    put(store, tenant="bob")
    assert store.forget("bob", "mug")
    assert store.find("ann", "mug")


def test_concepts_come_oldest_first(store):
    for name in "cab":
        put(store, name)
    assert [one.name for one in store.list_all("ann")] == ["c", "a", "b"]


def test_a_taken_name_changes_nothing(store):
    stored = put(store)
    with pytest.raises(TakenError):
        put(store, noun="cup", photos=PHOTOS[:1])
    assert store.find("ann", "mug") == stored
    assert store.photos("ann", "mug") == PHOTOS


def test_what_takes_a_place_is_another(store):
    before = put(store)
    after = put(store, noun="cup", replace=before, photos=[b"other"])
    assert (after.id, after.created) == (before.id, before.created)
    assert after.taught != before.taught
    assert store.photos("ann", "mug") == [b"other"]
    assert store.list_all("ann") == [after]


@pytest.mark.parametrize("gone", [False, True])
def test_what_has_changed_meanwhile_is_not_written_over(store, gone):
    before = put(store)
    if gone:
        store.forget("ann", "mug")
    else:
        put(store, noun="cup", replace=before)
    with pytest.raises(TakenError):
        put(store, noun="glass", replace=before)
    assert [one.noun for one in store.list_all("ann")] == ([] if gone else ["cup"])


@pytest.mark.parametrize("replacing", [False, True])
def test_of_many_who_write_at_once_one_wins(store, replacing):
    before = put(store) if replacing else None

    def write(number):
        try:
            return put(store, noun=f"noun {number}", replace=before, photos=[b"%d" % number])
        except TakenError:
            return None

    with ThreadPoolExecutor(8) as writers:
        (winner,) = [one for one in writers.map(write, range(8)) if one]
    assert store.list_all("ann") == [winner]
    assert store.photos("ann", "mug") == [winner.noun.removeprefix("noun ").encode()]


def test_what_a_version_lacks_is_learned_in_batches(store):
    for number in range(5):
        put(store, f"mug {number}", tenant=f"tenant {number % 2}", photos=[b"%d" % number])
    assert store.lacking(VERSION, 10) == []
    seen = []
    while lacking := store.lacking("e" * 64, 2):
        assert len(lacking) <= 2
        for one in lacking:
            seen += one.photos
            store.add_learned(one.concept, "e" * 64, concept(one.concept.name, seed=1))
    assert sorted(seen) == [b"%d" % number for number in range(5)]
    ((_, learned),) = store.learned("tenant 1", ["mug 1"], "e" * 64).values()
    assert torch.equal(learned.a_Rd, concept(seed=1).a_Rd)


def test_why_it_cannot_be_learned_is_kept(store):
    stored = put(store)
    store.add_learned(stored, "e" * 64, "x" * 2000)
    ((_, problem),) = store.learned("ann", ["mug"], "e" * 64).values()
    assert problem == "x" * 1000
    assert store.lacking("e" * 64, 10) == []


def test_what_was_learned_from_photos_that_have_changed_is_not_kept(store):
    before = put(store)
    after = put(store, replace=before, photos=[b"other"])
    store.add_learned(before, "e" * 64, concept())
    ((_, learned),) = store.learned("ann", ["mug"], "e" * 64).values()
    assert learned is None
    assert [one.concept for one in store.lacking("e" * 64, 10)] == [after]


def test_what_was_learned_for_a_concept_that_is_gone_is_not_kept(store):
    stored = put(store)
    store.forget("ann", "mug")
    store.add_learned(stored, "e" * 64, concept())
    assert store.lacking("e" * 64, 10) == []


def test_workers_that_learn_the_same_do_not_hinder_each_other(store):
    stored = [put(store, f"mug {number}") for number in range(4)]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda one: store.add_learned(one, "e" * 64, concept()), stored * 8))
    assert store.lacking("e" * 64, 10) == []


def test_forgetting_is_for_good(store):
    put(store)
    assert store.forget("ann", "mug")
    assert not store.forget("ann", "mug")
    assert store.find("ann", "mug") is None
    assert store.learned("ann", ["mug"], VERSION) == {}
    assert put(store).photos == 2


@pytest.mark.parametrize("how", ["forget", "replace"])
def test_no_byte_of_a_deleted_photo_is_left_in_sqlites_files(tmp_path, how):
    from services.store.concepts import ConceptStore
    from services.store.database import open_database

    database = open_database(f"sqlite:///{tmp_path}/kindred.db")
    store = ConceptStore(database)
    stored = put(store)

    def left():
        files = [Path(tmp_path, f"kindred.db{end}") for end in ("", "-wal")]
        return any(b"second" in file.read_bytes() for file in files if file.exists())

    assert left()
    if how == "forget":
        store.forget("ann", "mug")
    else:
        put(store, replace=stored, photos=[b"other"])
    assert not left()
    database.dispose()
