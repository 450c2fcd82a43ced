import numpy as np
import pytest

from retrieval.index.exact import ExactIndex


def _brute_force(ids, vectors, query, k):
    scored = [(float(query @ vector), place) for place, vector in enumerate(vectors)]
    best = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]
    return [ids[place] for _, place in best]


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_search_finds_what_brute_force_finds(k):
    # Small integers: the inner products are exact and tie often.
    rng = np.random.default_rng(k)
    vectors = rng.integers(-2, 3, (50, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (20, 3)).astype(np.float32)
    ids = [f"p{number}" for number in rng.permutation(50)]
    for query, hits in zip(queries, ExactIndex(ids, vectors).search(queries, k), strict=True):
        assert [id_ for id_, _ in hits] == _brute_force(ids, vectors, query, k)
        assert [score for _, score in hits] == [
            float(query @ vectors[ids.index(i)]) for i, _ in hits
        ]


def test_equal_scores_come_in_item_order():
    index = ExactIndex(["z", "y", "x"], np.ones((3, 2), dtype=np.float32))
    assert [id_ for id_, _ in index.search(np.ones((1, 2), np.float32), 2)[0]] == ["z", "y"]


def test_more_than_there_is_gives_all_there_is():
    index = ExactIndex(["a", "b"], np.eye(2, dtype=np.float32))
    assert index.search(np.array([[0.0, 1.0]], np.float32), 5) == [[("b", 1.0), ("a", 0.0)]]


def test_an_empty_index_finds_nothing():
    index = ExactIndex([], np.empty((0, 4), np.float32))
    assert index.search(np.ones((2, 4), np.float32), 3) == [[], []]


def test_no_queries_have_no_answers():
    index = ExactIndex(["a"], np.ones((1, 4), np.float32))
    assert index.search(np.empty((0, 4), np.float32), 3) == []


def test_scores_and_ids_are_plain_python():
    [[(id_, score)]] = ExactIndex(["a"], np.ones((1, 2), np.float32)).search(
        np.ones((1, 2), np.float32), 1
    )
    assert type(id_) is str
    assert type(score) is float


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_one_at_least(k):
    with pytest.raises(ValueError, match=f"got k = {k}, expected 1"):
        ExactIndex(["a"], np.ones((1, 2), np.float32)).search(np.ones((1, 2), np.float32), k)


@pytest.mark.parametrize("shape", [(1, 3), (2,)])
def test_queries_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=r"got queries of shape .*expected \(queries, 2\)"):
        ExactIndex(["a"], np.ones((1, 2), np.float32)).search(np.ones(shape, np.float32), 1)


def test_ids_and_vectors_must_be_as_many():
    with pytest.raises(ValueError, match="got 1 ids for 2 vectors"):
        ExactIndex(["a"], np.ones((2, 2), np.float32))
