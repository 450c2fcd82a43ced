"""How high a cycle's model ranks the teacher's winners, as a picture beside its run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20
COLORS = ("#5b8db8", "#1b7f5c")


def percentile_figure(cycle: str, percentiles: Mapping[str, NDArray[np.float64]]) -> Any:
    """Histograms of the winners' percentiles, one above the other, as a Matplotlib figure.

    Args:
        cycle: Named in the title.
        percentiles: Model -> the percentile of each validation persona's winner, in [0, 1].
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 1.4 * len(percentiles) + 0.8), layout="constrained")
    rows = figure.subplots(len(percentiles), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for (model, values), axes, color in zip(percentiles.items(), rows, COLORS, strict=False):
        weights = np.full(len(values), 100 / len(values))
        axes.hist(values, np.linspace(0, 1, BINS + 1), weights=weights, color=color, rwidth=0.92)
        axes.axvline(values.mean(), color="black", linewidth=1)
        axes.set_title(f"{model}: mean {100 * values.mean():.1f} %", loc="left", fontsize=10)
        axes.set_ylabel("personas, %")
    rows[-1].set_xlabel("percentile of the winner (1 = first)")
    figure.suptitle(f"Cycle {cycle}, {len(values)} validation personas")
    return figure
