"""What tokenizers lose of texts: MiniLM's WordPiece, and CLIP's bytes."""

import numpy as np
import open_clip
import pytest

from retrieval.encoder import create_encoder
from retrieval.text.readable import alike, find_tokenizer, read_texts

RED_CUP, BLUE_VASE = "แก้วสีแดง", "แจกันสีฟ้า"  # Thai


@pytest.fixture(scope="module")
def minilm():
    return find_tokenizer("minilm-resnet10t", None)


@pytest.fixture(scope="module")
def clip():
    return find_tokenizer("ViT-B-32", "openai")


def test_words_of_an_unknown_script_are_named(minilm):
    thai, mixed, english = read_texts(minilm, [RED_CUP, f"a cup, {RED_CUP}", "a red cup"])
    assert (thai.unknown, thai.unknown_share) == ((RED_CUP,), 1.0)
    assert mixed.unknown == (RED_CUP,)
    assert mixed.unknown_share == 1 / 4
    assert (english.unknown, english.unknown_share, english.is_cut) == ((), 0.0, False)
    assert thai.warnings() == [
        f"The model does not know these words: {RED_CUP}.",
        "Nothing else is in the text, so what is found says nothing.",
    ]
    assert len(mixed.warnings()) == 1
    assert english.warnings() == []


def test_texts_that_read_the_same_are_told_apart_from_equal_ones(minilm):
    texts = [RED_CUP, "a red cup", BLUE_VASE, "A  red cup", "a blue cup"]
    assert alike(texts, read_texts(minilm, texts)) == [[0, 2]]


def test_what_reads_the_same_has_equal_vectors(minilm):
    vectors = create_encoder("minilm-resnet10t", None).encode_texts([RED_CUP, BLUE_VASE, "a cup"])
    np.testing.assert_allclose(vectors[0] @ vectors[1], 1, atol=1e-5)
    assert vectors[0] @ vectors[2] < 0.9


@pytest.mark.parametrize("tower", ["minilm", "clip"])
def test_a_cut_is_where_the_tower_cuts(request, tower):
    tokenize = request.getfixturevalue(tower)
    limit = tokenize.context_length
    whole, cut = (" ".join(["cup"] * (limit - 2 + more)) for more in (0, 1))
    read = read_texts(tokenize, [whole, cut])
    assert [one.length for one in read] == [limit, limit + 1]
    assert [one.is_cut for one in read] == [False, True]
    assert read[1].warnings() == [
        f"The text is cut: it has {limit + 1} tokens, and the model reads {limit}."
    ]
    # The tokenizer's own output agrees: what is cut makes no difference.
    assert tokenize([whole]).tolist() == tokenize([cut]).tolist()
    assert alike([whole, cut], read) == [[0, 1]]


def test_bytes_know_every_word(clip):
    read = read_texts(clip, [RED_CUP, BLUE_VASE])
    assert [one.unknown for one in read] == [(), ()]
    assert alike([RED_CUP, BLUE_VASE], read) == []


def test_many_unknown_words_are_cut_short(minilm):
    words = [RED_CUP + letter for letter in "กขคงจฉชซญดตถ"]
    (read,) = read_texts(minilm, [" ".join(words)])
    assert len(read.unknown) == 12
    assert read.warnings()[0].endswith(f"{words[9]}, ….")


def test_a_tokenizer_of_another_kind_finds_nothing_wrong():
    (read,) = read_texts(lambda texts: np.ones((len(texts), 3), dtype=int), ["a b"])
    assert read.warnings() == []


def test_no_texts(minilm):
    assert read_texts(minilm, []) == []


def test_a_model_that_is_not_known_has_no_tokenizer_here():
    assert find_tokenizer("no-such-model", None) is None


def test_the_tokenizers_are_the_models(minilm):
    encoder = create_encoder("minilm-resnet10t", None)
    texts = ["a red cup", RED_CUP]
    assert minilm(texts).tolist() == encoder.tokenize(texts).tolist()
    assert isinstance(find_tokenizer("ViT-B-32", "x"), open_clip.SimpleTokenizer)


NOTHING = ["\u200b", "\u2060\ufeff", "\x01\x02", " \t\n", "\u00ad"]


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_of_which_nothing_can_be_seen_says_nothing(minilm, clip, text):
    for tokenize in (minilm, clip, lambda texts: np.ones((len(texts), 3), dtype=int)):
        (read,) = read_texts(tokenize, [text])
        assert "knows nothing of this text" in read.refusal()


def test_a_text_of_unknown_words_alone_says_nothing(minilm):
    some, none = read_texts(minilm, ["a ☂", "☂ ☂"])
    assert some.refusal() == ""
    assert none.refusal().startswith("the model knows nothing of this text (☂), so")
