from itertools import permutations

import numpy as np
import pytest

from retrieval.captions import caption_ranks, chance_recall, equal_captions


def test_equal_captions_compares_every_row_with_every_row():
    captions = ["a mug", "a vase", "a mug", "A mug"]
    expected = [[one == other for other in captions] for one in captions]
    assert equal_captions(captions).tolist() == expected


@pytest.mark.parametrize("captions", ["abcde", "aabcd", "aabbc", "aaaab", "aaaaa", "a"])
@pytest.mark.parametrize("k", [1, 2, 4, 10])
def test_chance_recall_equals_the_enumeration_of_all_orders(captions, k):
    found = [
        any(captions[item] == captions[query] for item in order[:k])
        for order in permutations(range(len(captions)))
        for query in range(len(captions))
    ]
    assert chance_recall(list(captions), k) == pytest.approx(np.mean(found))


def test_chance_recall_of_different_captions_is_k_of_n():
    assert chance_recall([str(number) for number in range(200)], 10) == pytest.approx(0.05)


def test_chance_recall_is_what_random_scores_reach():
    captions = [str(number // 3) for number in range(60)]  # 20 captions, three times each
    rng = np.random.default_rng(0)
    recalls = []
    for _ in range(200):
        ranks = caption_ranks(rng.standard_normal((60, 8)), rng.standard_normal((60, 8)), captions)
        recalls.append((ranks <= 5).mean())
    assert np.mean(recalls) == pytest.approx(chance_recall(captions, 5), abs=0.01)


def test_caption_ranks_by_hand():
    # The query of row 0 likes row 2 best, which has the same caption: a hit.
    texts_ND = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    images_ND = np.array([[0.1, 0.9], [0.5, 0.2], [0.9, 0.1]])
    assert caption_ranks(texts_ND, images_ND, ["a", "b", "a"]).tolist() == [1.0, 2.0, 1.0]
    assert caption_ranks(texts_ND, images_ND, ["a", "b", "c"]).tolist() == [3.0, 2.0, 1.0]


def test_caption_ranks_of_a_model_that_sees_no_difference_are_the_middle():
    ranks = caption_ranks(np.ones((5, 2)), np.ones((5, 2)), list("abcde"))
    assert ranks.tolist() == [3.0] * 5
