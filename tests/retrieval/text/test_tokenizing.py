"""Two threads read texts at once: the service's batches, and its lessons."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.text.readable import read_texts

LONG = "far too long for the model " * 20
TIMES = 400


@pytest.fixture
def restless():
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_threads_that_read_texts_at_once_do_not_change_what_the_others_get(minilm):
    texts = ["x", LONG, "a blue mug"]
    ids, whole = minilm.tokens(texts).tolist(), read_texts(minilm.tokenize, [LONG])

    def tokens(_):
        return minilm.tokens(texts).tolist() == ids

    def readings(_):
        return read_texts(minilm.tokenize, [LONG]) == whole

    with ThreadPoolExecutor(1) as batches, ThreadPoolExecutor(1) as lessons:
        read = batches.map(readings, range(TIMES))
        learned = lessons.map(tokens, range(TIMES))
        assert all(read)
        assert all(learned)
    assert whole[0].is_cut
