"""The slices of a held-out persona that say more: is it in the headline, and in which cluster?"""

from collections.abc import Iterable, Mapping, Set

from retrieval.storage.schema import PersonaRow

INTERESTS = "interests"  # the slice that says whether training saw the persona's interests
SEEN, PARTLY, UNSEEN = "seen", "partly unseen", "unseen"
# Wishes that hang together: by the first of these slices that a persona has.
INTEREST, SITUATION, WISHES = "interest", "situation", "wishes"
SECOND_INTEREST = "second interest"
PARTNER = "unseen interest, with a seen one"
_WISHES = ((INTEREST, SECOND_INTEREST), (SITUATION,), (WISHES,))
CLUSTERS = (INTEREST, SITUATION, WISHES, PARTNER)


def is_headline(slices: Mapping[str, str]) -> bool:
    """Whether a persona counts in the headline: one with an unseen interest does not."""
    return slices.get(INTERESTS) not in (PARTLY, UNSEEN)


def is_held_out(slices: Mapping[str, str]) -> bool:
    """Whether no training persona has the persona's wishes."""
    return slices.get(INTERESTS) == UNSEEN


def unit_of(slices: Mapping[str, str]) -> str:
    """The cluster that a persona is resampled with; "" where it has none."""
    name = unit_name(slices)
    return f"{name}={slices[name]}" if name else ""


def unit_name(slices: Mapping[str, str]) -> str:
    """The slice, or facet, that names its cluster; "" where none does."""
    return next((name for name in CLUSTERS if slices.get(name)), "")


def named_wishes(facets: Mapping[str, str]) -> list[str]:
    """What a persona wishes by its facets; [] where they do not say.

    Its interests, else its situation, else the cluster of its text.
    """
    names = next((names for names in _WISHES if facets.get(names[0])), ())
    return [facets[name] for name in names if facets.get(name)]


def trained_wishes(personas: Iterable[PersonaRow]) -> frozenset[str]:
    """All wishes that training personas name."""
    trained = (persona for persona in personas if persona["split"] == "train")
    return frozenset(wish for persona in trained for wish in named_wishes(persona["facets"]))


def novelty_of(facets: Mapping[str, str], trained_on: Set[str]) -> str:
    """Whether training saw what a persona wishes; "" where nothing is known of that.

    Args:
        facets: The persona's.
        trained_on: From `trained_wishes`.
    """
    wishes = set(named_wishes(facets))
    if not wishes or not trained_on:
        return ""
    return SEEN if wishes <= trained_on else PARTLY if wishes & trained_on else UNSEEN
