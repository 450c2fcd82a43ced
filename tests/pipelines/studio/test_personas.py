import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import snowballstemmer

from pipelines.studio import phrases
from pipelines.studio.interests import AGES, all_interests, paraphrased
from pipelines.studio.personas import MOST, Person, draw_unseen, write_personas
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS

NOUNS = [kind.noun for kind in KINDS]

# Beside a kind's own nouns, the words that would give it away. A word counts with its endings.
GIVEAWAYS = {
    "mug": "cup-shaped tankard beaker",
    "teapot": "kettle pot",
    "frying pan": "pan frying skillet wok saucepan",
    "apron": "pinafore",
    "cutting board": "board cutting chopping",
    "rolling pin": "pin",
    "watering can": "can watering",
    "flower pot": "pot flowerpot planter",
    "garden glove": "glove mitten",
    "birdhouse": "house nestbox aviary",
    "wheelbarrow": "barrow",
    "spade": "shovel",
    "table lamp": "lamp lampshade",
    "cushion": "pillow",
    "vase": "",
    "candle": "candlelight candlelit candlestick",
    "armchair": "chair recliner",
    "wall clock": "clock clockwork",
    "picture frame": "frame",
    "t-shirt": "shirt tee tshirt",
    "sweater": "jumper pullover cardigan",
    "scarf": "scarves shawl",
    "beanie": "hat cap",
    "sun hat": "hat sunhat",
    "sock": "stocking",
    "sneaker": "shoe trainer",
    "rain boot": "boot wellie wellington",
    "umbrella": "brolly parasol",
    "backpack": "rucksack",
    "tote bag": "bag tote handbag",
    "suitcase": "luggage case trolley",
    "bicycle": "bike bicycling cycle cycling cyclist biking",
    "skateboard": "board skate skating skater",
    "tennis racket": "racket racquet tennis",
    "surfboard": "board surf surfing",
    "yoga mat": "mat yoga yogi",
    "dumbbell": "weight barbell kettlebell",
    "guitar": "guitarist",
    "drum": "drummer drumming",
    "headphones": "headphone earphone headset phone",
    "teddy bear": "teddy bear teddies",
    "kite": "kiting",
    "toy train": "toy train",
    "toy robot": "toy robot robotic robotics",
    "tent": "",
    "lantern": "",
    "water bottle": "bottle flask",
    "camera": "cameraman",
    "telescope": "telescopic",
    "notebook": "notepad",
}
ENDINGS = "(?:s|es|ed|er|ers|ing)?"
EXEMPT = {"hated", "hates"}  # "hate", not "hat"


@cache
def naming_words() -> re.Pattern[str]:
    heads = {noun.split()[-1] for noun in NOUNS}
    words = heads | set(" ".join(GIVEAWAYS.values()).split())
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))}){ENDINGS}\b")


def named_kinds(text: str) -> list[str]:
    return [word for word in naming_words().findall(text.lower()) if word not in EXEMPT]


@cache
def personas() -> list[dict[str, object]]:
    return write_personas(3000, seed=7)


def texts_and_wants() -> list[tuple[str, dict[str, float]]]:
    return [(str(row["text"]), dict(row["wants"])) for row in personas()]  # type: ignore[call-overload]


def of(wants: dict[str, float], attribute: str) -> dict[str, float]:
    """The wants for one attribute, by value."""
    prefix = f"{attribute}="
    return {key.removeprefix(prefix): wants[key] for key in wants if key.startswith(prefix)}


def color_words(text: str) -> set[str]:
    return set(re.findall(rf"\b({'|'.join(COLORS)})(?:s|ish)?\b", text.lower()))


def likened_colors(text: str) -> set[str]:
    return {
        color
        for color, things in phrases.LIKENESSES.items()
        for thing in things
        if f"the colour of {thing}" in text.lower()
    }


def test_same_seed_same_personas_other_seed_others():
    again, other = write_personas(50, seed=7), write_personas(50, seed=8)

    assert again == personas()[:50]
    assert {row["text"] for row in other}.isdisjoint({row["text"] for row in again})


def test_ids_count_up_and_texts_are_distinct():
    assert [row["persona_id"] for row in personas()] == [f"p{i:05d}" for i in range(3000)]
    assert len({str(row["text"]).lower() for row in personas()}) == 3000


@pytest.mark.parametrize("count", [-1, MOST + 1])
def test_counts_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match=f"got count = {count}, expected 0 to"):
        write_personas(count, seed=0)


def test_no_persona_is_no_error():
    assert write_personas(0, seed=0) == []


@pytest.mark.parametrize("noun", NOUNS)
def test_the_check_for_kinds_knows_every_kind(noun):
    plural = noun if noun.endswith("s") else f"{noun}s"

    assert noun in GIVEAWAYS
    assert named_kinds(f"She wants a {noun}.")
    assert named_kinds(f"{plural} for everyone")


def test_no_text_names_a_kind():
    found = [(named_kinds(text), text) for text, _ in texts_and_wants() if named_kinds(text)]

    assert found == []


def test_no_phrase_of_an_interest_names_a_kind_or_a_color():
    all_phrases = [
        phrase for pronoun in phrases.PRONOUNS for phrase in spoken(all_interests(), pronoun)
    ]

    assert [phrase for phrase in all_phrases if named_kinds(phrase)] == []
    assert [phrase for phrase in all_phrases if color_words(phrase)] == []


def test_interests_are_many_distinct_and_well_formed():
    interests = all_interests()

    assert len(interests) >= 30
    assert len({interest.name for interest in interests}) == len(interests)
    said = Counter(phrase for i in interests for phrase in i.does + i.loves)
    assert [phrase for phrase, times in said.items() if times > 1] == []
    for interest in interests:
        weights = list(interest.kinds.values())
        assert len(interest.does + interest.loves) >= 5
        assert min(len(interest.does), len(interest.loves)) >= 2
        assert 2 <= len(weights) <= 5
        assert weights == sorted(set(weights), reverse=True)
        assert 1.5 <= weights[0] <= 2.0
        assert weights[-1] >= 0.6
        assert set(interest.ages) <= set(AGES)
        assert interest.kinds.keys() <= set(NOUNS)


def test_most_kinds_are_wanted_and_no_favourite_is_everybodys():
    wanted = Counter(kind for interest in all_interests() for kind in interest.kinds)
    assert len(wanted) >= 0.7 * len(NOUNS)

    kinds = [of(wants, "kind") for _, wants in texts_and_wants()]
    favourites = Counter(max(weights, key=lambda kind: weights[kind]) for weights in kinds)
    assert len(favourites) >= 25
    assert max(favourites.values()) < 0.1 * len(kinds)


def test_wants_are_positive_and_of_the_vocabulary():
    known = {
        *(f"kind={noun}" for noun in NOUNS),
        *(f"color={color}" for color in COLORS),
        *(f"pattern={pattern}" for pattern in PATTERNS),
        *(f"motif={motif}" for motif in MOTIFS),
    }
    for _, wants in texts_and_wants():
        assert wants.keys() <= known
        assert min(wants.values()) > 0
        assert all(len(of(wants, name)) <= 1 for name in ("color", "pattern", "motif"))


def test_every_value_of_a_taste_is_wanted():
    wanted = {key for _, wants in texts_and_wants() for key in wants}

    assert {f"color={color}" for color in COLORS} <= wanted
    assert {f"pattern={pattern}" for pattern in PATTERNS} <= wanted
    assert {f"motif={motif}" for motif in MOTIFS} <= wanted


def test_a_wrong_kind_in_the_right_taste_loses_to_the_best_kind():
    for text, wants in texts_and_wants():
        tastes = sum(weight for key, weight in wants.items() if not key.startswith("kind="))
        assert tastes < max(of(wants, "kind").values()), text


def test_tastes_can_reorder_the_wanted_kinds():
    reordered = 0
    for _, wants in texts_and_wants():
        best, second, *_ = sorted(of(wants, "kind").values(), reverse=True)
        reordered += sum(of(wants, "color").values()) > best - second

    assert reordered > 0.3 * len(personas())


def test_shares_of_tastes_and_of_second_interests():
    wants = [wants for _, wants in texts_and_wants()]

    def share(attribute: str) -> float:
        return sum(bool(of(row, attribute)) for row in wants) / len(wants)

    assert share("color") == pytest.approx(0.6, abs=0.06)
    assert share("pattern") == pytest.approx(0.3, abs=0.06)
    assert share("motif") == pytest.approx(0.35, abs=0.06)
    nothing = sum(all(key.startswith("kind=") for key in row) for row in wants) / len(wants)
    assert nothing == pytest.approx(0.1, abs=0.03)
    two_interests = sum(len(of(row, "kind")) > 5 for row in wants) / len(wants)
    assert 0.15 < two_interests < 0.35


def test_a_text_tells_the_color_that_is_wanted_and_no_other():
    for text, wants in texts_and_wants():
        told = color_words(text) | likened_colors(text)
        assert told == set(of(wants, "color")), text


def test_a_text_tells_the_pattern_and_the_motif_that_are_wanted():
    for text, wants in texts_and_wants():
        for attribute, words in (
            ("pattern", phrases.PATTERN_WORDS),
            ("motif", phrases.MOTIF_WORDS),
        ):
            for value in set(of(wants, attribute)) & words.keys():
                assert any(word in text.lower() for word in words[value]), text


@pytest.mark.parametrize("words", [phrases.LIKENESSES, phrases.PATTERN_WORDS, phrases.MOTIF_WORDS])
def test_a_word_for_a_taste_stands_for_one_value(words):
    said = [word for value in words.values() for word in value]

    assert len(said) == len(set(said))


def test_every_value_has_words():
    assert phrases.LIKENESSES.keys() == COLORS.keys()
    assert {"plain", *phrases.PATTERN_WORDS} == set(PATTERNS)
    assert {"none", *phrases.MOTIF_WORDS} == set(MOTIFS)


def test_texts_read_as_written_by_people():
    for text, _ in texts_and_wants():
        assert not re.search(r"[{}|]|  | [.,;?!]|[.,;?!]{2}", text), text
        assert not re.search(r"\b(\w+) \1\b", text.lower()), text
        assert not re.search(r"\ba [aeio]\w+|\ban (?!hour)[^aeiou]", text.lower()), text
        assert not re.search(r"[.?!] [a-z]", text), text
        assert not re.search(r"\b(I|they) (is|has|loves|likes)\b", text), text
        assert not re.search(r"\b(?<!would )(she|he) (are|am|have|love|like)\b", text.lower()), text
        assert 10 < len(text) < 400, text


def test_verbs_and_pronouns_agree():
    words = {pronoun: Person((), pronoun, "aunt").words for pronoun in phrases.PRONOUNS}
    phrase = "{they} {is}, {they} carr{ies}, {they} watch{es}, {they} {has} {their}, for {them}"

    assert {pronoun: phrase.format_map(slots) for pronoun, slots in words.items()} == {
        "she": "she is, she carries, she watches, she has her, for her",
        "he": "he is, he carries, he watches, he has his, for him",
        "they": "they are, they carry, they watch, they have their, for them",
        "I": "I am, I carry, I watch, I have my, for me",
    }
    assert words["she"]["a"] == "an aunt"


COMMON = {  # words that say nothing of an interest
    *("a", "an", "the", "and", "as", "it", "one", "their", "they", "all", "every", "each"),
    *("about", "across", "ahead", "along", "at", "by", "for", "from", "in", "into", "of", "on"),
    *("over", "through", "to", "under", "up", "with", "are", "is", "has", "have"),
}


def spoken(interests, pronoun="they"):
    """What the interests say of somebody, phrase by phrase."""
    words = Person((), pronoun).words
    return [phrase.format_map(words) for i in interests for phrase in i.does + i.loves]


def content_stems(interests):
    words = re.findall(r"[a-z]+", " ".join(spoken(interests)).lower())
    return set(snowballstemmer.stemmer("english").stemWords(list(set(words) - COMMON)))


def test_words_of_one_stem_count_as_one():
    roses = next(interest for interest in all_interests() if interest.name == "roses")
    one, other = (replace(roses, does=(does,), loves=()) for does in ("soak{s}", "{is} soaking"))

    assert content_stems([one]) == content_stems([other]) == {"soak"}


def test_a_paraphrase_of_an_interest_has_no_content_word_of_any_interest_by_stem():
    trained = content_stems(all_interests())

    shared = {
        interest.name: content_stems([paraphrased(interest.name)]) & trained
        for interest in all_interests()
    }

    assert {name: stems for name, stems in shared.items() if stems} == {}


def test_verbs_end_in_y_or_in_ies():
    both = [*all_interests(), *(paraphrased(interest.name) for interest in all_interests())]
    said = [phrase for pronoun in phrases.PRONOUNS for phrase in spoken(both, pronoun)]

    assert [phrase for phrase in said if re.search("yy|yies", phrase)] == []


def test_paraphrases_name_no_kind_and_no_color():
    paraphrases = [paraphrased(interest.name) for interest in all_interests()]
    said = [phrase for pronoun in phrases.PRONOUNS for phrase in spoken(paraphrases, pronoun)]

    assert [phrase for phrase in said if named_kinds(phrase) or color_words(phrase)] == []


def test_a_paraphrased_persona_opens_alike_and_names_the_same_tastes():
    rows = write_personas(200, seed=3)

    assert all(row["paraphrase"] != row["text"] for row in rows)
    assert all(color_words(row["paraphrase"]) == color_words(row["text"]) for row in rows)
    same_start = [row["paraphrase"].split()[0] == row["text"].split()[0] for row in rows]
    assert sum(same_start) > 0.9 * len(rows)  # some open with the interest itself


def test_personas_with_an_unseen_interest_are_for_the_test_alone_and_few():
    unseen = draw_unseen(10, seed=1)

    rows = write_personas(1000, seed=2, unseen=unseen)

    for row in rows:
        facets = row["facets"]
        interests = {facets[name] for name in ("interest", "second interest") if name in facets}
        assert interests <= unseen if row["split"] == "test" else interests.isdisjoint(unseen)
    assert {row["facets"]["interest"] for row in rows if row["split"]} == unseen
    assert 0.03 <= sum(row["split"] == "test" for row in rows) / len(rows) <= 0.05


def test_more_unseen_interests_than_leave_two_are_refused():
    with pytest.raises(ValueError, match="got unseen_interests: 29, expected 28 of 30 at most"):
        draw_unseen(29, seed=0)
