"""How large a catalogue is where it matters, and the shares of its splits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.run.params import WishShares
from pipelines.setup.survey import Found, wanting
from retrieval.storage.schema import SPLITS

# Personas that a model writes where there are none: one for each product, within these bounds.
FEWEST_WRITTEN, MOST_WRITTEN = 200, 1000
# What a test should have: a mean percentile of 50 personas moves by 4 points by chance, and the
# winner's percentile among 100 products is told in steps of 1 %.
TEST_PERSONAS, TEST_PRODUCTS = 50, 100
MIN_TEST, MAX_TEST = 0.1, 0.3


@dataclass(frozen=True)
class Parts:
    """How many there will be in each split, give or take one."""

    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Sizes:
    """What the plan goes by."""

    split: dict[str, float]
    products: Parts
    personas: Parts
    known_test: int  # test personas with wishes that training knows: the headline's
    distinct_captions: int  # 0: captions are to be written
    simulated: bool  # whether every persona wants something that a product has
    one_attribute: bool  # whether wants name one attribute alone

    @property
    def kinds_are_all(self) -> bool:
        """Whether within the wanted kind no product is better than another."""
        return self.simulated and self.one_attribute


def personas_to_write(found: Found) -> int:
    """How many personas have to be written for what was found; 0 where it has some."""
    if found.personas:
        return 0
    return min(max(len(found.products), FEWEST_WRITTEN), MOST_WRITTEN)


def measure(found: Found, held_out: WishShares) -> Sizes:
    """Sizes and splits of what was found, `catalog.held_out_wishes` held out."""
    written = personas_to_write(found)
    split = choose_split(len(found.products), len(found.personas) + written)
    met = list(wanting(found.personas, found.facts))
    attributes = {want.partition("=")[0] for persona in met for want in persona["wants"]}
    given = [row["split"] for row in found.personas] + [""] * written
    held = {name: round(getattr(held_out, name) * given.count("")) for name in ("val", "test")}
    known = parts([*filter(None, given)] + [""] * (given.count("") - sum(held.values())), split)
    complete = all(product.caption for product in found.products)
    return Sizes(
        split=split,
        products=parts([product.split for product in found.products], split),
        personas=Parts(known.train, known.val + held["val"], known.test + held["test"]),
        known_test=known.test,
        distinct_captions=len(found.captions) if complete else 0,
        simulated=bool(met) and len(met) == len(found.personas),
        one_attribute=len(attributes) == 1,
    )


def choose_split(products: int, personas: int) -> dict[str, float]:
    """Shares of train, val and test that give the test enough, and leave the most to training."""
    wanted = max(TEST_PERSONAS / max(1, personas), TEST_PRODUCTS / max(1, products))
    test = round(min(max(wanted, MIN_TEST), MAX_TEST), 2)
    val = round(test / 2, 2)
    return {"train": round(1 - val - test, 2), "val": val, "test": test}


def parts(given: Sequence[str], split: dict[str, float]) -> Parts:
    """How many rows come into each split: those that name one, and shares of the others."""
    counts = Counter(given)
    open_ = counts[""]
    train, val = round(split["train"] * open_), round(split["val"] * open_)
    shares = dict(zip(SPLITS, (train, val, open_ - train - val), strict=True))
    return Parts(**{name: counts[name] + shares[name] for name in SPLITS})
