"""Personas of the studio: who wants something, in a sentence or a few, and what would please them.

A text speaks of interests and tastes and never names the kind of product; `wants` is what a reader
would infer from it: the better a kind fits the interest and the stronger a taste is worded, the
more it weighs. `paraphrase` says the same with other words for the interests.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from pipelines.studio.interests import (
    GROWN,
    Interest,
    all_interests,
    interests_of,
    paraphrased,
)
from pipelines.studio.phrases import (
    ALL_IN_ONE,
    COLOR_LIKENED,
    COLOR_NAMED,
    FIRST_PERSON,
    FOR_MYSELF,
    FOR_OTHERS,
    FOR_SOMEONE,
    LIKENESSES,
    MOTIF,
    MOTIF_WORDS,
    PATTERN,
    PATTERN_WORDS,
    PLURAL,
    PRONOUNS,
    RELATIONS,
    SECOND,
    SHARE_OF_LIKENED,
    SIMPLE,
    SINGULAR,
    TAILS,
)
from pipelines.studio.vocabulary import COLORS, MOTIFS, PATTERNS
from retrieval.storage.schema import PersonaRow

Choice = TypeVar("Choice")

MOST: Final = 100_000  # persona ids have five digits; the grammar has many more texts

SHARE_OF_UNSEEN: Final = 0.04  # of the personas have an interest that is kept for the evaluation
SHARE_OF_TWO_INTERESTS: Final = 0.3
SHARE_OF_JOINED: Final = 0.6  # of two interests that fit into one sentence
SECOND_INTEREST: Final = 0.7  # its kinds weigh this much of what they weigh alone
SHARE_WITHOUT_TASTE: Final = 0.1
SHARE_OF_SIMPLE_TASTE: Final = 0.06  # plain, without a motif
PRONOUN_RELATIONS: Final = {"I": "myself", "they": "someone"}
TASTE_SHARES: Final = {"color": 0.53, "pattern": 0.24, "motif": 0.29}  # drawn until there is one
TASTE_WEIGHTS: Final = {"color": (0.5, 0.8), "pattern": (0.3, 0.5), "motif": (0.3, 0.5)}
MOST_OF_TASTES: Final = 0.9  # of the best kind's weight: no taste makes up for a wrong kind


@dataclass(frozen=True)
class Person:
    """Whom a persona speaks of: how to open the text, and the words that agree with them."""

    openings: Sequence[str]
    pronoun: str
    noun: str = ""

    @property
    def words(self) -> dict[str, str]:
        """The placeholders' words where the pronoun is the subject of the sentence."""
        they, them, their, themselves = PRONOUNS[self.pronoun]
        verbs = {"they": PLURAL, "I": FIRST_PERSON}.get(self.pronoun, SINGULAR)
        article = "an" if self.noun[:1] in set("aeiou") else "a"
        return {
            **verbs,
            "they": they,
            "them": them,
            "their": their,
            "themselves": themselves,
            "noun": self.noun,
            "my": f"my {self.noun}",
            "a": f"{article} {self.noun}",
        }


@dataclass(frozen=True)
class Wording:
    """Tastes in words: sentences of their own, or the tail of the opening; and their weights."""

    sentences: tuple[str, ...]
    tail: str
    wants: dict[str, float]


def write_personas(count: int, seed: int, unseen: Set[str] = frozenset()) -> list[PersonaRow]:
    """Write personas: persona_id, text, paraphrase, wants ("attribute=value" -> weight), facets.

    Texts are distinct. A persona whose interests are all of `unseen` has split `test`, every other
    ""; none has one of them beside one that is not.

    Args:
        count: How many, up to `MOST`.
        seed: Equal seeds give equal personas; a smaller count gives the first of them.
        unseen: Names of interests that no training persona may have.

    Raises:
        ValueError: `count` is negative or above `MOST`.
    """
    if not 0 <= count <= MOST:
        msg = f"got count = {count}, expected 0 to {MOST:,} distinct personas; ask for fewer"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    personas: list[PersonaRow] = []
    seen: set[str] = set()
    kept_for_test = 0
    while len(personas) < count:
        row = _write_one(rng)
        interests = _interests(row["facets"])
        is_unseen = interests <= unseen
        is_mixed = not (is_unseen or unseen.isdisjoint(interests))
        enough = is_unseen and kept_for_test >= SHARE_OF_UNSEEN * (len(personas) + 1)
        if is_mixed or enough or row["text"].lower() in seen:
            continue
        seen.add(row["text"].lower())
        kept_for_test += is_unseen
        split = "test" if is_unseen else ""
        personas.append({**row, "persona_id": f"p{len(personas):05d}", "split": split})
    return personas


def draw_unseen(count: int, seed: int) -> frozenset[str]:
    """Names of interests to keep for the evaluation.

    Raises:
        ValueError: That would leave fewer than two to learn from.
    """
    names = [interest.name for interest in all_interests()]
    if count > len(names) - 2:
        msg = f"got unseen_interests: {count}, expected {len(names) - 2} of {len(names)} at most"
        raise ValueError(msg)
    return frozenset(np.random.default_rng(seed).permutation(names)[:count].tolist())


def _interests(facets: dict[str, str]) -> set[str]:
    return {facets[name] for name in ("interest", "second interest") if name in facets}


def _write_one(rng: np.random.Generator) -> PersonaRow:
    """A persona, as yet without id and split."""
    first = _pick(rng, all_interests())
    age = _pick(rng, first.ages)
    others = [interest for interest in interests_of(age) if interest is not first]
    second = _pick(rng, others) if others and rng.random() < SHARE_OF_TWO_INTERESTS else None
    person = _draw_person(rng, age)
    wording = _word_tastes(rng, person, _draw_tastes(rng))
    kinds = _weigh_kinds(first, second)
    words_seed = rng.integers(2**63)  # the same opening in both wordings, as far as grammar goes

    def write(reword: Callable[[Interest], Interest]) -> str:
        words_rng = np.random.default_rng(words_seed)
        chosen = reword(first), reword(second) if second else None
        return _assemble(*_word_interests(words_rng, person, *chosen), wording)

    facets = {"interest": first.name, "relation": person.noun or PRONOUN_RELATIONS[person.pronoun]}
    return {
        "persona_id": "",
        "split": "",
        "text": write(lambda interest: interest),
        "paraphrase": write(lambda interest: paraphrased(interest.name)),
        "wants": kinds | _limit(wording.wants, MOST_OF_TASTES * max(kinds.values())),
        "facets": facets | ({"second interest": second.name} if second else {}),
    }


def _draw_person(rng: np.random.Generator, age: str) -> Person:
    draw = rng.random()
    if age in GROWN and draw < 0.2:
        return Person(FOR_MYSELF, "I")
    if age in GROWN and draw < 0.28:
        return Person(FOR_SOMEONE, "they")
    noun, pronoun, _ = _pick(rng, [row for row in RELATIONS if age in row[2]])
    return Person(FOR_OTHERS, pronoun, noun)


def _draw_tastes(rng: np.random.Generator) -> dict[str, str]:
    """The wanted attributes and values; both pattern=plain and motif=none, or neither."""
    if rng.random() < SHARE_WITHOUT_TASTE:
        return {}
    values = {"color": tuple(COLORS), "pattern": PATTERNS[1:], "motif": MOTIFS[1:]}
    if rng.random() < SHARE_OF_SIMPLE_TASTE:
        tastes = {"pattern": PATTERNS[0], "motif": MOTIFS[0]}
        return tastes | ({"color": _pick(rng, values["color"])} if rng.random() < 0.5 else {})
    tastes = {}
    while not tastes:
        wanted = [name for name, share in TASTE_SHARES.items() if rng.random() < share]
        tastes = {name: _pick(rng, values[name]) for name in wanted}
    return tastes


def _word_interests(
    rng: np.random.Generator, person: Person, first: Interest, second: Interest | None
) -> tuple[str, list[str]]:
    """The opening, and the sentences that follow it."""
    opening = _pick(rng, person.openings)
    slots = _phrases(rng, person, first)
    if second is None:
        return _say(opening, person, slots), []
    others = _phrases(rng, person, second)
    used = next(name for name in ("does", "do", "loves") if f"{{{name}}}" in opening)
    simple = not any(joint in slots[used] + others[used] for joint in (",", " and "))
    if simple and rng.random() < SHARE_OF_JOINED:
        joined = f"{slots[used]} and {others[used]}"
        return _say(opening, person, {**slots, used: joined}), []
    return _say(opening, person, slots), [_say(_pick(rng, SECOND), person, others)]


def _phrases(rng: np.random.Generator, person: Person, interest: Interest) -> dict[str, str]:
    does, loves = _pick(rng, interest.does), _pick(rng, interest.loves)
    return {
        "does": does.format_map(person.words | SINGULAR),
        "do": does.format_map(person.words),
        "loves": loves.format_map(person.words),
    }


def _word_tastes(rng: np.random.Generator, person: Person, tastes: dict[str, str]) -> Wording:
    if not tastes:
        return Wording((), "", {})
    simple = tastes.get("motif") == MOTIFS[0]
    draw = 0.0 if simple else rng.random()
    if draw < 0.6:
        return _word_one_by_one(rng, person, tastes)
    words = {name: _name_taste(rng, name, value) for name, value in tastes.items()}
    if draw < 0.8:
        strength, template = _pick(rng, ALL_IN_ONE)
        sentences = (_say(template, person, {"x": _enumerate(list(words.values()))}),)
        return Wording(sentences, "", _weigh_tastes(tastes, strength))
    strength, lead = _pick(rng, TAILS)
    decoration = _enumerate([word for name, word in words.items() if name != "color"])
    parts = [f"in {words['color']}"] if "color" in words else []
    parts += [f"with {decoration}"] if decoration else []
    return Wording((), f"{lead} {', '.join(parts)}", _weigh_tastes(tastes, strength))


def _word_one_by_one(rng: np.random.Generator, person: Person, tastes: dict[str, str]) -> Wording:
    """A sentence for each taste, in any order."""
    groups = [{name: value} for name, value in tastes.items()]
    if tastes.get("motif") == MOTIFS[0]:
        groups = [{"color": tastes["color"]}] if "color" in tastes else []
        groups.append({name: value for name, value in tastes.items() if name != "color"})
    sentences: list[str] = []
    wants: dict[str, float] = {}
    for group in (groups[int(index)] for index in rng.permutation(len(groups))):
        word = "" if len(group) > 1 else _name_taste(rng, *next(iter(group.items())))
        strength, template = _pick(rng, _templates(group, word))
        sentences.append(_say(template, person, {"x": word}))
        wants |= _weigh_tastes(group, strength)
    return Wording(tuple(sentences), "", wants)


def _templates(group: dict[str, str], word: str) -> Sequence[tuple[float, str]]:
    if len(group) > 1:
        return SIMPLE
    if "color" in group:
        return COLOR_NAMED if word in COLORS else COLOR_LIKENED
    return PATTERN if "pattern" in group else MOTIF


def _name_taste(rng: np.random.Generator, name: str, value: str) -> str:
    if name == "color":
        likened = rng.random() < SHARE_OF_LIKENED
        return f"the colour of {_pick(rng, LIKENESSES[value])}" if likened else value
    return _pick(rng, (PATTERN_WORDS if name == "pattern" else MOTIF_WORDS)[value])


def _weigh_tastes(tastes: dict[str, str], strength: float) -> dict[str, float]:
    weights = {}
    for name, value in tastes.items():
        low, high = TASTE_WEIGHTS[name]
        weights[f"{name}={value}"] = round(low + strength * (high - low), 3)
    return weights


def _weigh_kinds(first: Interest, second: Interest | None) -> dict[str, float]:
    """Weights of the wanted kinds, best first; a kind that both interests want gets both."""
    weights = {f"kind={kind}": weight for kind, weight in first.kinds.items()}
    for kind, weight in (second.kinds if second else {}).items():
        key = f"kind={kind}"
        weights[key] = round(weights.get(key, 0.0) + SECOND_INTEREST * weight, 3)
    return dict(sorted(weights.items(), key=lambda item: (-item[1], item[0])))


def _limit(wants: dict[str, float], most: float) -> dict[str, float]:
    """The same weights, scaled down together where they add up to more than `most`."""
    scale = min(1.0, most / sum(wants.values())) if wants else 1.0
    return {key: round(weight * scale, 3) for key, weight in wants.items()}


def _assemble(opening: str, more: list[str], wording: Wording) -> str:
    """One text: sentences go in at the bar or follow, a tail continues a note or comes last."""
    opening, _, close = opening.partition("|")
    note = opening[-1] not in ".?!"
    if note and wording.tail:
        opening = f"{opening}, {wording.tail}"
    sentences = [*more, *wording.sentences, *([close.strip()] if close else [])]
    if wording.tail and not note:
        sentences.append(f"{wording.tail}.")
    if note and sentences:
        opening += "."
    if note and not sentences:
        return opening
    return " ".join(map(_capitalise, [opening, *sentences]))


def _say(template: str, person: Person, slots: dict[str, str]) -> str:
    return template.format_map(person.words | slots)


def _enumerate(words: list[str]) -> str:
    *head, last = words or [""]
    return f"{', '.join(head)} and {last}" if head else last


def _capitalise(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _pick(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    return choices[int(rng.integers(len(choices)))]
