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
    return np.array(
        [
            sum(wants.get(f"{name}={value}", 0.0) for name, value in product.items())
            for product in attributes
        ],
        dtype=np.float64,
    )


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
