"""What the gates may demand of a catalogue of this size.

A limit that is lowered here is one that a good teacher or model would miss by chance, or that says
nothing of such a catalogue; the gates' notes say what was not judged. Nothing is raised above what
params.yaml comes with.
"""

import math
from collections.abc import Iterator, Sequence

from pipelines.setup.sizes import Sizes

Limit = tuple[str, float, str]  # key, value, why

MANY = 400  # personas from which on chance no longer decides over a floor
SPREAD = 0.25  # standard deviation of a good model's percentiles (of even chances: 0.29)
ERRORS = 2  # standard errors by which a floor gives way


def gate_limits(sizes: Sizes, groups: tuple[int, Sequence[int]]) -> Iterator[Limit]:
    """The limits of both gates that sizes have a say in.

    Args:
        sizes: Of the catalogue.
        groups: Groups a cycle, and pictures of each band a group.
    """
    yield from _of_labels(sizes, *groups)
    yield from _of_personas(sizes)
    yield from _of_captions(sizes)


def _of_labels(sizes: Sizes, groups: int, bands: Sequence[int]) -> Iterator[Limit]:
    train, people = sizes.products.train, sizes.personas.train
    shown = sum(bands) / max(1, train)  # of the groups in which a product is, on average
    yield "check_labels.min_rankings", max(1, min(100, groups // 2)), f"{groups} groups a cycle"
    yield "check_labels.min_personas", max(1, min(20, people * 4 // 5)), f"{people} to train with"
    covered = 1 - math.exp(-groups * shown)  # of the products, were they drawn evenly
    least = 0.5 if covered > 0.9 else round(covered / 2, 2)
    yield "check_labels.min_covered_share", least, f"{groups} groups reach {covered:.0%} at best"
    largest = max(0.1, round(min(1.0, shown) / 2, 2))
    yield (
        "check_labels.max_product_share",
        largest,
        "the share of groups that show a product, halved",
    )


def _of_personas(sizes: Sizes) -> Iterator[Limit]:
    judged = sizes.known_test
    chance = f"a mean of {judged} personas"
    yield "check_retrieval.min_queries", max(1, min(30, judged * 4 // 5)), f"{judged} in the test"
    yield "check_retrieval.min_mean_percentile", _floor(0.8, SPREAD, judged), chance
    if sizes.kinds_are_all:
        why = "wants name one attribute: within it all are equal, so this is not judged"
        yield "check_retrieval.min_within_kind_percentile", 0.0, why
        yield "check_retrieval.min_recall_at_10", 0.0, why
    else:
        yield "check_retrieval.min_within_kind_percentile", _floor(0.6, SPREAD, judged), chance
        yield "check_retrieval.min_recall_at_10", _floor(0.1, 0.3, judged), chance


def _of_captions(sizes: Sizes) -> Iterator[Limit]:
    shown, different = sizes.products.test, sizes.distinct_captions
    products = sizes.products.train + sizes.products.val + shown
    few = 0 < different <= products / 10
    why = "many products share a caption" if few else "nearly every product has its own caption"
    yield "check_retrieval.min_caption_recall_at_10", 0.9 if few else 0.5, why
    drop = max(0.05, round(2 / max(4, shown), 2))
    yield (
        "check_retrieval.max_caption_drop",
        drop,
        f"two of {shown} captions" if drop > 0.05 else "",
    )


def _floor(floor: float, spread: float, count: int) -> float:
    """A floor for a mean of so many, lower by what chance does to it; never below 0."""
    if count >= MANY:
        return floor
    return max(0.0, round(floor - ERRORS * spread / math.sqrt(max(1, count)), 2))
