"""A personal concept: rank-one updates of the text tower's last value, and the words for it.

V' = V + B A (arXiv 2506.10182). d tower width, R rank: 1 unless asked for otherwise.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

LONGEST_NOUN = 60  # characters


class ConceptWarning(UserWarning):
    """A concept can be learned or used, but probably not as its owner meant it."""


@dataclass(frozen=True)
class Concept:
    """A concept: 2 R d numbers, and the words that stand for it in a query."""

    name: str
    noun: str  # the class: "mug"
    identifier: str  # the rare word: "sks"
    a_Rd: torch.Tensor  # rows of unit norm where learned here
    b_Rd: torch.Tensor
    base: str = ""  # `TextTower.digest` of the tower that it was learned on; "" before that

    @property
    def phrase(self) -> str:
        """What takes the concept's place in a query: "sks mug"."""
        return f"{self.identifier} {self.noun}"


def new_concept(name: str, noun: str, identifier: str, width: int) -> Concept:
    """A concept that changes nothing yet: A random of unit norm, by name; B zero.

    Args:
        name: What its owner calls it.
        noun: Its class.
        identifier: The rare word.
        width: d.

    Raises:
        ValueError: The noun is empty, overlong or holds the identifier.
    """
    noun = noun.strip()
    if not 1 <= len(noun) <= LONGEST_NOUN:
        msg = f"concept {name}: got a noun of {len(noun)} characters, expected 1 to {LONGEST_NOUN}"
        raise ValueError(msg)
    if holds_word(noun, identifier):
        msg = f"concept {name}: the noun {noun!r} holds the identifier {identifier!r}; use another"
        raise ValueError(msg)
    return Concept(name, noun, identifier, directions(name, 1, width), torch.zeros(1, width))


def directions(name: str, rank: int, width: int) -> torch.Tensor:
    """Where A starts, (R, d): rows of unit norm that follow from the name; the first whatever R."""
    a_Rd = torch.from_numpy(generator(name).standard_normal((rank, width))).float()
    unit_Rd: torch.Tensor = a_Rd / a_Rd.norm(dim=1, keepdim=True)
    return unit_Rd


def place(text: str, concepts: Sequence[Concept]) -> str:
    """Put the concepts' phrases where `{name}` stands, or in front of a text that names none.

    Raises:
        ValueError: An identifier is already a word of the text.
    """
    slots = {f"{{{concept.name}}}": concept.phrase for concept in concepts}
    pattern = "|".join(re.escape(slot) for slot in slots) or r"(?!)"  # (?!) matches nowhere
    own = re.sub(pattern, " ", text)
    for concept in concepts:
        if holds_word(own, concept.identifier):
            msg = f"the word {concept.identifier!r} stands for concepts; use another in {text!r}"
            raise ValueError(msg)
    unnamed = [phrase for slot, phrase in slots.items() if slot not in text]
    return " ".join([*unnamed, re.sub(pattern, lambda found: slots[found[0]], text)])


def holds_word(text: str, word: str) -> bool:
    """Whether a word occurs in a text, whatever the case."""
    return bool(re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text.casefold()))


def generator(name: str) -> np.random.Generator:
    """Random numbers that follow from a concept's name alone."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
