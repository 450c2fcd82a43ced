"""The wishes that a version was trained on: their texts, and what their labels chose."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from retrieval.storage.schema import PersonaRow, RankingRow, table_of

MOST_CHOSEN = 3  # products a wish
BEST = 0.25  # of the pictures that a ranking presents: of twelve three, of two one


class WishRow(TypedDict):
    """A training persona that has a label."""

    persona_id: str
    text: str
    chosen: list[str]  # products that its rankings put first, best first


WISHES = table_of(WishRow)


@dataclass(frozen=True)
class Wish:
    """The same for readers of a bundle."""

    persona_id: str
    text: str
    chosen: tuple[str, ...]


def find_wishes(personas: Iterable[PersonaRow], rankings: Iterable[RankingRow]) -> list[WishRow]:
    """The training personas with the products that their labels put first, ordered by persona.

    Personas without a label are left out.

    Args:
        personas: Of any split; those of split `train` count.
        rankings: Of all cycles.
    """
    orders: defaultdict[str, list[Sequence[str]]] = defaultdict(list)
    for row in rankings:
        if row["ranking"]:
            orders[row["persona_id"]].append(row["ranking"])
    wishes: list[WishRow] = [
        {"persona_id": id_, "text": persona["text"], "chosen": chosen}
        for persona in personas
        if persona["split"] == "train"
        and (chosen := choose(orders.get(id_ := persona["persona_id"], [])))
    ]
    return sorted(wishes, key=lambda wish: wish["persona_id"])


def choose(orders: Iterable[Sequence[str]]) -> list[str]:
    """What rankings of one persona put first, best first, at most `MOST_CHOSEN`.

    A product's place is the share of its group that stands before it, a mean over its groups; those
    count that are in the best quarter. So of a choice between two the winner counts, and a product
    that won as often as it lost does not. Equal places: more groups first, then by id.

    Args:
        orders: The rankings, each best first.
    """
    places: defaultdict[str, list[float]] = defaultdict(list)
    for order in orders:
        for place, product in enumerate(order):
            places[product].append(place / len(order))
    means = {product: sum(found) / len(found) for product, found in places.items()}
    best = [product for product, mean in means.items() if mean < BEST]
    best.sort(key=lambda product: (means[product], -len(places[product]), product))
    return best[:MOST_CHOSEN]
