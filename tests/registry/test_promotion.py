"""Promotion against a real MLflow and a real Milvus Lite; a line of text stands for a model."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from registry import promotion
from registry.bundle import Bundle, open_bundle
from registry.bundle_writer import write_bundle
from registry.comparison import compare, from_bundle
from registry.errors import ConflictError, RefusedError, RegistryError, UnknownVersionError
from registry.history import read_history
from registry.promotion import promote, rollback
from registry.promotion_lock import LOCK
from registry.store import CACHE
from registry.versions import champion_number
from retrieval.index.store import collection_key
from tests.registry.promoted import (
    NAME,
    STORE,
    FakeEncoder,
    digest_of,
    keys_of,
    move_by_hand,
    outcomes,
    write_text_vectors,
)


def test_the_first_champion_is_served_from_verified_collections(home):
    steps = []
    done = promote(NAME, "1", report=steps.append)
    assert (done.version.number, done.before, done.moved) == (1, None, True)
    assert champion_number(NAME) == 1
    assert STORE.list_keys() == keys_of(1)
    assert outcomes() == [("promote", None, 1, "done")]
    assert [step for step in steps if "passed" in step] == [
        "gate labels: passed",
        "gate retrieval: passed",
    ]


def test_by_default_it_is_the_challenger_and_its_failed_gate_is_told(home):
    with pytest.raises(RefusedError, match=r"version 7 .*gate retrieval failed: too few queries"):
        promote(NAME)
    assert champion_number(NAME) is None
    assert outcomes() == []
    assert STORE.list_keys() == set()


def test_force_is_recorded_with_what_it_set_aside(home):
    done = promote(NAME, reason="a demonstration")
    assert done.moved
    assert "too few queries" in done.overridden[0]
    (change,) = read_history(NAME)
    assert (change.reason, change.after) == ("a demonstration", 7)
    assert "gate retrieval failed: too few queries" in change.overridden


def test_a_reason_that_nothing_needed_is_not_recorded_as_force(home):
    promote(NAME, "1", reason="to be sure")
    (change,) = read_history(NAME)
    assert (change.reason, change.overridden) == ("", "")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(home):
    done = promote(NAME, "1", dry_run=True)
    assert not done.moved
    assert champion_number(NAME) is None
    assert outcomes() == []
    assert not Path("var/milvus").exists()
    with pytest.raises(RefusedError):
        promote(NAME, "7", dry_run=True)


def test_a_worse_version_than_the_champion_is_refused_with_both_numbers(home):
    promote(NAME, "1")
    with pytest.raises(
        RefusedError, match=r"worse than the champion.*mean percentile: 0.0 % against 100.0 %"
    ):
        promote(NAME, "6")
    assert champion_number(NAME) == 1


def test_a_better_or_equal_one_passes(home):
    promote(NAME, "6")
    promote(NAME, "1")
    promote(NAME, "2")
    assert champion_number(NAME) == 2


def test_a_verdict_that_names_the_champion_is_believed(home, monkeypatch):
    promote(NAME, "1")
    with_verdict(monkeypatch, 6, champion=digest_of(1))
    promote(NAME, "6")  # worse, but the gate compared them
    assert champion_number(NAME) == 6


def with_verdict(monkeypatch, number, **verdict):
    """The version's retrieval verdict as it would have been."""
    read = promotion.fetch_bundle

    def changed(version):
        bundle = read(version)
        if version.number != number:
            return bundle
        other = bundle.verdicts["retrieval"].model_copy(update=verdict)
        return replace(bundle, verdicts={**bundle.verdicts, "retrieval": other})

    monkeypatch.setattr(promotion, "fetch_bundle", changed)


FLOOR = {"name": "personas.gain", "passed": False, "reason": "personas.gain: no gain"}
DROP = {"name": "champion_slices.no_drop", "passed": False, "reason": "champion_slices: a drop"}


@pytest.mark.parametrize(
    ("checks", "refused"), [([DROP], False), ([FLOOR, DROP], True), ([], True)]
)
def test_what_an_outdated_verdict_found_beside_another_champion_is_set_aside(
    home, monkeypatch, checks, refused
):
    """Its floors stand; without checks in it, nothing can be told apart."""
    promote(NAME, "1")
    reasons = tuple(check["reason"] for check in (FLOOR, DROP))
    outdated = {"champion": digest_of(5), "passed": False, "reasons": reasons, "checks": checks}
    with_verdict(monkeypatch, 2, **outdated)
    if not refused:
        assert promote(NAME, "2").overridden == ()
        return
    with pytest.raises(RefusedError, match=r"gate retrieval failed: personas\.gain: no gain") as no:
        promote(NAME, "2")
    assert ("a drop" in str(no.value)) == (not checks)


def test_a_failed_verdict_beside_todays_champion_stands(home, monkeypatch):
    promote(NAME, "1")
    reasons = (DROP["reason"],)
    verdict = {"champion": digest_of(1), "passed": False, "reasons": reasons, "checks": [DROP]}
    with_verdict(monkeypatch, 2, **verdict)
    with pytest.raises(RefusedError, match="gate retrieval failed: champion_slices: a drop"):
        promote(NAME, "2")


def test_the_limits_of_the_verdict_are_those_of_the_comparison(home, monkeypatch):
    """A candidate that falls by everything passes where the drop allowed is everything."""
    promote(NAME, "1")
    limits = {"max_drop": 1.0, "max_caption_drop": 1.0}
    with_verdict(monkeypatch, 6, statistics={**limits, "student_mean_percentile": 0.9})
    assert promote(NAME, "6").moved


def test_a_champion_that_cannot_be_read_is_a_reason_to_refuse(home):
    promote(NAME, "1")
    shutil.rmtree(CACHE / digest_of(1))
    (weights,) = [p for p in home.rglob("mlruns/**/weights") if p.read_text() == "good 1"]
    weights.write_text("damaged")
    try:
        with pytest.raises(RefusedError, match="cannot be compared with the champion"):
            promote(NAME, "2")
    finally:
        weights.write_text("good 1")


def test_a_damaged_candidate_is_not_promoted(home):
    shutil.rmtree(CACHE / digest_of(2))
    (weights,) = [p for p in home.rglob("mlruns/**/weights") if p.read_text() == "good 2"]
    weights.write_text("damaged")
    try:
        with pytest.raises(RegistryError, match=r"damaged in the registry.*weights"):
            promote(NAME, "2", reason="whatever")
    finally:
        weights.write_text("good 2")
    assert champion_number(NAME) is None


def test_a_catalogue_that_reads_back_otherwise_is_not_promoted(home, monkeypatch):
    def differs(*_):
        msg = "got other vectors back than were written"
        raise ValueError(msg)

    monkeypatch.setattr("retrieval.index.store.verify", differs)
    with pytest.raises(RegistryError, match="cannot be put into Milvus: got other vectors"):
        promote(NAME, "1")
    assert (champion_number(NAME), STORE.list_keys(), outcomes()) == (None, set(), [])


def test_promoting_the_champion_again_changes_nothing(home):
    promote(NAME, "1")
    assert not promote(NAME, "1").moved
    assert len(read_history(NAME)) == 1


@pytest.mark.slow
def test_a_damaged_collection_is_made_again(home):
    promote(NAME, "1")
    promote(NAME, "2")
    key = collection_key(digest_of(1), "student")
    shutil.rmtree(Path(f"var/milvus/{key}.db/collections"))
    promote(NAME, "1")
    STORE.open(key, home / "private").close()


def test_no_two_at_once(home):
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK):
        for act in (promote, rollback):
            with pytest.raises(ConflictError, match="kindred history"):
                act(NAME)


def test_who_comes_from_another_host_meanwhile_is_noticed(home, monkeypatch):
    promote(NAME, "1")
    prepare = promotion.verify_collections

    def slowly(bundle):
        prepare(bundle)
        move_by_hand(3)

    monkeypatch.setattr(promotion, "verify_collections", slowly)
    with pytest.raises(ConflictError, match="changed while this promote ran"):
        promote(NAME, "2")
    assert champion_number(NAME) == 3
    assert outcomes()[-1] == ("promote", 1, 2, "abandoned")


def test_rolling_back_is_a_stack_and_computes_nothing(home, monkeypatch):
    for number in ("1", "2", "3"):
        promote(NAME, number)
    for name in ("compare_with", "verify_collections"):
        monkeypatch.setattr(promotion, name, lambda *_: pytest.fail("computed something"))
    before = {path: path.stat().st_mtime_ns for path in Path("var/milvus").rglob("*")}
    assert rollback(NAME).version.number == 2
    assert rollback(NAME).version.number == 1
    with pytest.raises(RefusedError, match="first champion"):
        rollback(NAME)
    assert champion_number(NAME) == 1
    assert before == {path: path.stat().st_mtime_ns for path in Path("var/milvus").rglob("*")}


def test_without_a_champion_there_is_nothing_to_roll_back(home):
    with pytest.raises(RefusedError, match="kindred promote"):
        rollback(NAME)


def test_a_champion_made_by_hand_is_rolled_back_to_the_last_promoted_one(home):
    promote(NAME, "1")
    promote(NAME, "2")
    move_by_hand(5)
    assert rollback(NAME).version.number == 2
    assert rollback(NAME).version.number == 1


@pytest.mark.slow
def test_the_collections_of_the_champion_and_three_before_it_stay(home):
    for number in (1, 2, 3, 4, 5):
        promote(NAME, str(number))
    assert STORE.list_keys() == keys_of(2, 3, 4, 5)
    for _ in range(4):
        rollback(NAME)  # at last to 1, whose collections are gone: they are written from its bundle
    assert champion_number(NAME) == 1
    assert keys_of(1) <= STORE.list_keys()


def test_unknown_names_and_versions_say_what_there_is(home):
    with pytest.raises(UnknownVersionError, match="expected one of 7, 6, 5"):
        promote(NAME, "99")
    with pytest.raises(RegistryError, match="make repro"):
        promote("other")


def test_what_the_champion_does_not_know_it_is_shown(home, sources, tmp_path, monkeypatch):
    """A product that is new since: the champion's model encodes its thumbnail."""
    seen = []

    class Seeing(FakeEncoder):
        def encode_files(self, paths):
            seen.extend(path.stat().st_size for path in paths)
            return np.eye(8, dtype=np.float32)[[2] * len(paths)]

    monkeypatch.setattr(
        Bundle, "load_encoder", lambda self, device="cpu": Seeing(self.folder / "model")
    )
    write_text_vectors(sources)
    write_bundle(tmp_path / "candidate", sources)
    candidate = open_bundle(tmp_path / "candidate")
    champion = open_bundle(CACHE / digest_of(1))
    known = champion.read_products()
    other = [replace(p, image_sha256="f" * 64) if p.product_id == "p2" else p for p in known]
    monkeypatch.setattr(Bundle, "read_products", lambda self: other if self is champion else known)
    found = compare(from_bundle(candidate), champion, 1)
    assert len(seen) == 1
    for answers in (found.candidate, found.reference):
        assert answers.personas["percentile"].tolist() == [1.0, 1.0]
