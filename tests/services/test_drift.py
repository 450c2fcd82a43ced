from types import SimpleNamespace

import numpy as np
import pytest

from retrieval.minilm import load_minilm
from retrieval.storage.vectors import Vectors
from services.http.metrics import Metrics
from services.http.model_description import drift_of
from services.search import drift
from services.search.drift import FEWEST, WINDOW, DriftWatch, compare, nearest
from services.search.processes import Notices
from services.search.queries import Query


def at(cosines):
    """Unit vectors (Q, 2) with these cosines to the one wish, (1, 0)."""
    return np.stack([cosines, np.sqrt(1 - np.square(cosines))], axis=1).astype(np.float32)


WISH = np.array([[1, 0]], dtype=np.float32)
KNOWN = np.linspace(0.5, 0.9, 400)


def watch(held_out=KNOWN, wishes=WISH, digest="d" * 64):
    vectors = {"wishes": wishes, "queries": None if held_out is None else at(held_out)}
    found = {
        name: None if x is None else Vectors([str(i) for i in range(len(x))], x)
        for name, x in vectors.items()
    }
    return DriftWatch(SimpleNamespace(read_text_vectors=found.get, digest=digest))


def test_the_nearest_wish_counts():
    wishes = np.eye(3, dtype=np.float32)[:2]
    texts = np.array([[0.6, 0.8, 0], [0, 0, 1], [-1, 0, 0]], dtype=np.float32)
    np.testing.assert_allclose(nearest(texts, wishes), [0.8, 0, 0])


def test_the_statistic_is_the_largest_gap_between_the_two_distributions():
    """A quarter of the queries lies below everything known: the gap there is 1/4."""
    served = np.concatenate([np.full(100, 0.1), KNOWN[::2], KNOWN[::4]])
    assert compare(served, KNOWN).statistic == pytest.approx(0.25, abs=0.01)
    assert compare(np.full(100, 0.1), KNOWN).statistic == 1.0
    assert compare(KNOWN, KNOWN).statistic == 0.0


def test_queries_nearer_than_expected_are_no_drift():
    near = compare(np.full(300, 1.0), KNOWN)
    assert (near.statistic, near.warning) == (0.0, "")


@pytest.mark.parametrize(
    ("count", "far", "warns"),
    [(FEWEST, 0.5, True), (FEWEST - 1, 1.0, False), (FEWEST, 0.3, False), (WINDOW, 0.3, False)],
)
def test_a_warning_takes_enough_queries_that_are_far_enough(count, far, warns):
    rng = np.random.default_rng(0)
    away = round(far * count)
    served = np.concatenate([np.full(away, 0.1), rng.choice(KNOWN, count - away)])
    found = compare(served, KNOWN)
    assert found.n == count
    assert bool(found.warning) == warns
    if warns:
        assert f"The last {count} queries are unlike" in found.warning


def test_known_queries_do_not_warn_however_often_they_are_drawn():
    rng = np.random.default_rng(1)
    drawn = [compare(rng.choice(KNOWN, FEWEST), KNOWN) for _ in range(200)]
    assert not any(one.warning for one in drawn)


def test_only_the_last_queries_count(monkeypatch):
    monkeypatch.setattr(drift, "PAUSE", -1.0)
    watching = watch()
    assert watching.report() is None
    for vector in at(np.full(WINDOW, 0.1)):
        watching.see(vector)
    assert watching.report().statistic == 1.0
    for vector in at(np.linspace(0.5, 0.9, WINDOW)):
        watching.see(vector)
    found = watching.report()
    assert (found.n, found.warning) == (WINDOW, "")
    assert found.statistic < 0.01


def test_workers_speak_of_the_last_queries_of_all(monkeypatch, tmp_path):
    monkeypatch.setattr(drift, "PAUSE", -1.0)
    told = [Notices(tmp_path, pid, lambda pid: pid != 3) for pid in (1, 2, 3, 4)]
    one, two, dead = (watch() for _ in range(3))
    before = watch(digest="e" * 64)  # another version, of which a worker still speaks
    for watching, cosine in ((one, 0.1), (two, 0.9), (dead, 0.2), (before, 0.3)):
        watching.see(at([cosine])[0])
    for _ in range(2):
        for watching, notices in zip((one, two, dead, before), told, strict=True):
            watching.exchange(notices)
    assert [one.report().n, two.report().n, before.report().n] == [2, 2, 1]
    assert one.report().statistic == two.report().statistic == 0.5
    for vector in at(np.full(WINDOW, 0.9)):
        two.see(vector)
    two.exchange(told[1])
    one.exchange(told[0])
    assert one.report().n == two.report().n == WINDOW
    assert one.report().statistic == two.report().statistic == 0.0


def test_a_report_holds_for_some_seconds():
    watching = watch()
    watching.see(at([0.5])[0])
    first = watching.report()
    watching.see(at([0.1])[0])
    assert watching.report() is first


@pytest.mark.parametrize("missing", [{"held_out": None}, {"wishes": None}, {"wishes": WISH[:0]}])
def test_a_bundle_without_wishes_reports_nothing(missing):
    watching = watch(**missing)
    watching.see(at([0.5])[0])
    assert watching.report() is None


def test_sentences_about_something_else_are_told_from_wishes():
    """The tower's own encoder: gifts were trained on; weather and law are asked for."""
    people = ["my mother", "an old friend", "a neighbour", "my brother", "a colleague"]
    loves = ["gardening", "cycling", "baking bread", "the sea", "playing drums", "camping"]
    wishes = [f"a gift for {who} who loves {what}" for who in people for what in loves]
    held_out = [f"something for {who}, who spends every weekend on {what}"
                for who in people for what in loves]  # fmt: skip
    subjects = ["The court", "A storm", "The committee", "The parser", "Inflation"]
    does = ["was late again", "ruled against the appeal", "moves east at night",
            "needs a larger buffer", "fell by two points", "has no quorum"]  # fmt: skip
    others = [f"{who} {what}." for who in subjects for what in does]
    encode = load_minilm()
    wishes_WD, held_HD, others_QD = (encode(texts) for texts in (wishes, held_out, others))
    known_H, other_Q = nearest(held_HD, wishes_WD), nearest(others_QD, wishes_WD)
    rng = np.random.default_rng(0)
    assert compare(rng.choice(known_H, 200), known_H).warning == ""
    assert compare(rng.choice(other_Q, 200), known_H).warning


def test_what_counts_as_a_query():
    def counts(**changes):
        wanted = {"text": "mug", "k": 1, "filter_": None, "model": "champion", **changes}
        return Query(**wanted).is_new_text

    assert counts()
    assert not counts(offset=10)  # a further page
    assert not counts(model="base")  # the page asks both
    assert not counts(mode="keyword")
    assert not counts(like="p1")
    assert not counts(concepts=(object(),))


def test_the_model_says_it():
    engine = SimpleNamespace(drift=watch())
    assert drift_of(engine) is None
    engine = SimpleNamespace(drift=watch())
    engine.drift.see(at([0.1])[0])
    found = drift_of(engine)
    assert (found["n"], found["statistic"], found["warning"]) == (1, 1.0, "")
    assert 0 < found["p_value"] < 1


def test_prometheus_reads_it():
    text = Metrics().text(3, "d" * 64, 0, compare(np.full(100, 0.1), KNOWN)).decode()
    assert "kindred_query_drift 1.0" in text
    assert "kindred_query_drift NaN" in Metrics().text(3, "d" * 64, 0).decode()
