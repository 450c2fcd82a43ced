"""The slices of a held-out persona that say more: is it in the headline, and in which cluster?"""

from collections.abc import Mapping

INTERESTS = "interests"  # the slice that says whether training saw the persona's interests
SEEN, PARTLY, UNSEEN = "seen", "partly unseen", "unseen"
# Wishes that hang together: by the first of these slices that a persona has.
INTEREST, SITUATION, WISHES = "interest", "situation", "wishes"
PARTNER = "unseen interest, with a seen one"
CLUSTERS = (INTEREST, SITUATION, WISHES, PARTNER)


def is_headline(slices: Mapping[str, str]) -> bool:
    """Whether a persona counts in the headline: one with an unseen interest does not."""
    return slices.get(INTERESTS) not in (PARTLY, UNSEEN)


def unit_of(slices: Mapping[str, str]) -> str:
    """The cluster that a persona is resampled with; "" where it has none."""
    name = unit_name(slices)
    return f"{name}={slices[name]}" if name else ""


def unit_name(slices: Mapping[str, str]) -> str:
    """The slice, or facet, that names its cluster; "" where none does."""
    return next((name for name in CLUSTERS if slices.get(name)), "")
