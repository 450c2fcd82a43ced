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


def admitted(
    wants: Mapping[str, float], attributes: Sequence[Mapping[str, str]]
) -> NDArray[np.bool_]:
    """Which products the persona's main interest admits, shape (N,).

    The main interest is the attribute with the largest sum of weights ("kind" for a gardener who
    likes blue); it admits the values that are wanted. All False without wants.
    """
    weights: dict[str, float] = {}
    for want, weight in wants.items():
        name = want.partition("=")[0]
        weights[name] = weights.get(name, 0.0) + weight
    if not weights:
        return np.zeros(len(attributes), dtype=np.bool_)
    main = max(weights, key=lambda name: weights[name])
    return np.array([f"{main}={product.get(main)}" in wants for product in attributes], np.bool_)
