"""What a persona truly wants, as far as the catalogue can know: wants x attributes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def utilities(
    wants: Mapping[str, float], attributes: Sequence[Mapping[str, str]]
) -> NDArray[np.float64]:
    """Utility of each product: the sum of the weights of the wants that it meets, shape (N,).

    Args:
        wants: "attribute=value" -> weight.
        attributes: One mapping attribute -> value a product.
    """
    return np.array([utility(wants, facts(product)) for product in attributes], dtype=np.float64)


def facts(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """What can be wanted of a product, each as "attribute=value"."""
    return tuple(f"{name}={value}" for name, value in attributes.items())


def utility(wants: Mapping[str, float], facts: Sequence[str]) -> float:
    """Utility of one product: the sum of the weights of the wants that its facts meet."""
    return sum(wants.get(fact, 0.0) for fact in facts)


def main_attribute(wants: Mapping[str, float]) -> str | None:
    """The attribute with the largest sum of weights, the persona's main interest.

    "kind" for a gardener who likes blue; None without wants.
    """
    weights: dict[str, float] = {}
    for want, weight in wants.items():
        name = want.partition("=")[0]
        weights[name] = weights.get(name, 0.0) + weight
    return max(weights, key=lambda name: weights[name]) if weights else None


def admitted(
    wants: Mapping[str, float], attributes: Sequence[Mapping[str, str]]
) -> NDArray[np.bool_]:
    """Which products the persona's main interest admits, shape (N,).

    It admits the values of `main_attribute` that are wanted. All False without wants.
    """
    main = main_attribute(wants)
    meets = [main is not None and f"{main}={has.get(main)}" in wants for has in attributes]
    return np.array(meets, np.bool_)
