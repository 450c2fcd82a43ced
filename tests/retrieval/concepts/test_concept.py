import pytest
import torch

from retrieval.concepts.concept import Concept, new_concept, place


def test_a_new_concept_follows_from_its_name():
    first, same, other = (new_concept(name, "mug", "sks", 16) for name in ("x", "x", "y"))
    assert torch.equal(first.a_Rd, same.a_Rd)
    assert not torch.equal(first.a_Rd, other.a_Rd)
    assert first.a_Rd.norm().item() == pytest.approx(1, abs=1e-6)
    assert first.a_Rd.shape == first.b_Rd.shape == (1, 16)
    assert not first.b_Rd.any()
    assert first.phrase == "sks mug"


@pytest.mark.parametrize(
    ("noun", "match"),
    [
        ("", "got a noun of 0 characters, expected 1 to 60"),
        ("  ", "0 characters"),
        ("m" * 61, "61 characters"),
        ("sks", "holds the identifier 'sks'"),
        ("SKS rifle", "holds the identifier"),
    ],
)
def test_a_noun_that_cannot_stand_in_a_query_is_refused(noun, match):
    with pytest.raises(ValueError, match=f"concept x: .*{match}"):
        new_concept("x", noun, "sks", 16)


def _named(name, noun="mug", identifier="sks"):
    return Concept(name, noun, identifier, torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("{mug} on a table", ["mug"], "sks mug on a table"),
        ("{mug} beside {mug}", ["mug"], "sks mug beside sks mug"),
        ("on a table", ["mug"], "sks mug on a table"),
        ("{dog} and {mug}", ["mug", "dog"], "sks dog and sks mug"),
        ("in the snow", ["mug", "dog"], "sks mug sks dog in the snow"),
        ("with {dog}", ["mug", "dog"], "sks mug with sks dog"),
        ("a {cat} in the snow", [], "a {cat} in the snow"),
        ("asks about {mug}", ["mug"], "asks about sks mug"),  # no word of its own
        ("my {sks} here", ["sks"], "my sks sks here"),  # the name may be the identifier
        ("{a.c} and {abc}", ["a.c"], "sks a.c and {abc}"),
    ],
)
def test_phrases_stand_where_their_names_do_or_in_front(text, names, expected):
    assert place(text, [_named(name, noun=name) for name in names]) == expected


def test_a_phrase_is_not_searched_for_names():
    concepts = [_named("mug", noun="{dog} mug"), _named("dog", noun="dog")]
    assert place("{mug} and {dog}", concepts) == "sks {dog} mug and sks dog"


@pytest.mark.parametrize(
    "text", ["a sks rifle", "SKS on a table", "sks", "on sks, please", "a rifle (sks)", "my sks."]
)
def test_a_query_that_holds_the_identifier_itself_is_refused(text):
    with pytest.raises(ValueError, match="'sks' stands for concepts; use another"):
        place(text, [_named("mug")])


def test_a_query_may_hold_any_other_word():
    assert place("a sks rifle", [_named("mug", identifier="qzx")]) == "qzx mug a sks rifle"
    assert place("a sks rifle", []) == "a sks rifle"
    with pytest.raises(ValueError, match="'x-1' stands"):
        place("an x-1 rocket", [_named("mug", identifier="x-1")])
