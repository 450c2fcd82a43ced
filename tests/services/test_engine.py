"""A version opened for search: five colours in Milvus Lite, an encoder that knows their names."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from registry.catalogue_index import ensure_collections
from retrieval.index.collection import Filter
from services.search.engine import Engine
from services.search.pictures import Picture, see
from services.search.queries import Query, UnknownProductError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus"))


@pytest.fixture
def engine(bundle, version, store, tmp_path):
    ensure_collections(bundle, store)
    version = dataclasses.replace(version, digest=bundle.digest)
    engine = Engine(version, bundle, tmp_path / "private", store)
    yield engine
    engine.close()


def test_queries_of_one_batch_get_their_own_hits(engine):
    anything, mugs = Filter(), Filter(attributes=(("colour", ("green",)),))
    found = engine.search(
        [
            Query("a white hat", 1, anything, "champion"),
            Query("blue, white and blue", 2, anything, "base"),
            Query("a white hat", 5, mugs, "champion"),
        ]
    )
    assert [[product.product_id for product, _ in one.hits] for one in found] == [
        ["p4"], ["p2", "p4"], ["p1"]
    ]  # fmt: skip
    assert found[1].hits[0][1] == pytest.approx(2 / 5**0.5, abs=1e-5)
    assert {one.version.number for one in found} == {3}


@pytest.mark.parametrize("odd", ["a\x01", "\x00", "a\u2028b", 'a"\\b', "x" * 9000])
def test_a_filter_with_any_characters_finds_nothing_and_does_not_fail(engine, odd):
    for filter_ in (Filter(categories=(odd,)), Filter(attributes=((odd, (odd,)),))):
        (found,) = engine.search([Query("white", 3, filter_, "champion")])
        assert found.hits == []


def test_each_query_of_a_batch_gets_its_own_warnings(engine):
    texts = ["white", " ".join(["white"] * 15), "blue"]
    found = engine.search([Query(text, 1, Filter(), "champion") for text in texts])
    cut = ("The text is cut: it has 17 tokens, and the model reads 16.",)
    assert [one.warnings for one in found] == [(), cut, ()]


def test_each_request_for_vectors_gets_those_of_its_texts(engine):
    some, none, other = engine.embed([["red", "blue"], [], ["white"]])
    np.testing.assert_allclose(some.vectors_ND, np.eye(5)[[0, 2]], atol=1e-5)
    assert none.vectors_ND.shape == (0, 5)
    np.testing.assert_allclose(other.vectors_ND, np.eye(5)[[4]], atol=1e-5)


def ask(engine, **wanted):
    wanted = {"text": "", "k": 5, "filter_": Filter(), "model": "champion", **wanted}
    (found,) = engine.search([Query(**wanted)])
    return [(product.product_id, score) for product, score in found.hits]


def ids(hits):
    return [id_ for id_, _ in hits]


def test_what_is_like_a_product_is_near_its_vector_and_not_itself(engine):
    hits = ask(engine, like="p3", k=3)
    assert hits == [("p0", 0), ("p1", 0), ("p2", 0)]  # each colour is across all others
    assert ids(ask(engine, like="p3", k=200)) == ["p0", "p1", "p2", "p4"]
    with pytest.raises(UnknownProductError, match="version 3 has no product 'p9'"):
        ask(engine, like="p9")


def test_words_are_found_in_titles_and_captions(engine):
    assert ids(ask(engine, text="Blues", mode="keyword")) == ["p2"]
    assert len(ask(engine, text="mugs", mode="keyword")) == 5
    assert ask(engine, text="umbrella", mode="keyword") == []


def test_both_ways_to_search_are_fused_by_their_ranks(engine):
    nearest = ids(ask(engine, text="white, white and blue"))
    worded = ids(ask(engine, text="white, white and blue", mode="keyword"))
    assert (nearest[:2], worded) == (["p4", "p2"], ["p4", "p2"])
    both = ask(engine, text="white, white and blue", mode="hybrid")
    assert both[:2] == [("p4", pytest.approx(2 / 61)), ("p2", pytest.approx(2 / 62))]


def test_a_concepts_place_is_its_noun_where_words_are_looked_for(engine):
    rex = SimpleNamespace(name="rex", noun="mug")
    query = Query("{rex} in blue", 5, Filter(), "champion", concepts=(rex,), mode="keyword")
    assert query.words == "mug in blue"
    (found,) = engine.search([query])
    assert found.hits[0][0].product_id == "p2"


def test_a_picture_is_looked_for_by_its_vector_whatever_version_saw_it_first(engine):
    class Eye:
        """Sees a picture as the product of its number."""

        tokenize = None

        def __init__(self, number):
            self.number, self.looked = number, 0

        def pixels(self, image):
            return torch.zeros(3, 1, 1)

        def encode_pixels(self, pixels_N3SS):
            self.looked += 1
            return np.eye(5, dtype=np.float32)[[self.number] * len(pixels_N3SS)]

    old, engine.encoder = Eye(1), Eye(2)
    picture = Picture(Image.new("RGB", (8, 8)))
    see(old, [picture])
    assert ids(ask(engine, picture=picture, k=1)) == ["p2"]  # the version that answers looks too
    see(engine.encoder, [picture])
    ask(engine, picture=picture, k=1)
    assert (old.looked, engine.encoder.looked) == (1, 2)


@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
@pytest.mark.parametrize("diversify", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("text", ["a red or a black mug", "green"])
def test_pages_are_parts_of_one_list(engine, mode, diversify, text):
    wanted = {"text": text, "mode": mode, "diversify": diversify}
    whole = ask(engine, **wanted, k=200)
    for k in (1, 2, 3):
        pages = [ask(engine, **wanted, k=k, offset=offset) for offset in range(0, 6, k)]
        assert [hit for page in pages for hit in page] == whole
    assert ask(engine, **wanted, offset=800) == []


def test_a_batch_may_mix_every_kind_of_query(engine):
    wanted = [
        {"text": "a white hat", "k": 1},
        {"text": "blue mug", "k": 2, "mode": "keyword"},
        {"like": "p1", "text": "", "k": 2},
        {"text": "black", "k": 3, "mode": "hybrid", "diversify": 0.5},
        {"text": "red", "k": 2, "offset": 1, "model": "base", "diversify": 0.9},
        {"text": "red", "k": 5, "filter_": Filter(exclude=("p0", "p4"))},
    ]
    usual = {"filter_": Filter(), "model": "champion"}
    together = engine.search([Query(**{**usual, **one}) for one in wanted])
    for one, found in zip(wanted, together, strict=True):
        alone = ask(engine, **one)
        assert [(product.product_id, score) for product, score in found.hits] == alone
    assert [len(found.hits) for found in together] == [1, 2, 2, 3, 2, 3]


def test_hits_are_explained_by_words_and_wishes(engine):
    """Red blue: cosine 1 / sqrt 2 with blue; blue alone has 1, red alone 0."""
    query = Query("red, blue", 5, Filter(), "champion")
    (found,) = engine.search([query])
    whys = dict(zip((product.product_id for product, _ in found.hits),
                    engine.explain(query, found), strict=True))  # fmt: skip
    half = 2**-0.5
    assert whys["p2"].words == [
        ("red", pytest.approx(half - 1, abs=1e-5)),
        ("blue", pytest.approx(half, abs=1e-5)),
    ]
    assert whys["p2"].wishes[0] == ("red or blue", pytest.approx(1, abs=1e-5))  # it chose p2
    assert [text for text, _ in whys["p0"].wishes] == []  # nobody chose what is like red
    assert whys["p2"].concepts == []


def test_explaining_reads_the_query_no_second_time(engine, monkeypatch):
    read, encode_texts = [], type(engine.encoder).encode_texts

    def noted(encoder, texts):
        read.extend(texts)
        return encode_texts(encoder, texts)

    monkeypatch.setattr(type(engine.encoder), "encode_texts", noted)
    query = Query("red or blue", 5, Filter(), "champion")
    (found,) = engine.search([query])
    assert read == ["red or blue"]
    engine.explain(query, found)
    assert read[1:] == ["or blue", "red blue", "red or"]


def test_a_version_without_wishes_explains_by_words_alone(engine, monkeypatch):
    monkeypatch.setattr(type(engine.bundle), "read_wishes", lambda self: [])
    monkeypatch.setattr(type(engine.bundle), "read_text_vectors", lambda self, texts: None)
    query = Query("blue", 1, Filter(), "base")
    (found,) = engine.search([query])
    (why,) = engine.explain(query, found)
    assert why.wishes == []
    assert why.words == [("blue", pytest.approx(1 - 5**-0.5, abs=1e-5))]  # "" is a fifth of each


def test_texts_that_were_searched_for_are_watched_for_drift(engine):
    assert not engine.drift._new  # the warm-up does not count
    seen = []
    engine.drift.see = lambda vector_D: seen.append(vector_D.argmax())
    ask(engine, text="blue")
    ask(engine, text="blue", offset=1)
    ask(engine, like="p1")
    ask(engine, text="red", mode="hybrid")
    assert seen == [2, 0]


def test_where_concepts_are_not_supported_a_query_with_one_is_told_so(engine):
    concept = SimpleNamespace(name="mug", noun="mug")
    plain = Query("red", 1, Filter(), "champion")
    named = dataclasses.replace(plain, text="red {mug}", concepts=(concept,))
    assert engine.encode([plain])[0].shape == (5,)
    with pytest.raises(ValueError, match="concepts need"):
        engine.encode([plain, named])
