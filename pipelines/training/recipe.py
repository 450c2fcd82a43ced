"""The learning rate at every moment of all cycles."""

import math

from pipelines.run.params import Distill

DECAY = 0.95  # a cycle
WARM_UP = 0.15  # share of all cycles in which the rate rises
START = 0.04  # of the peak


def learning_rate(settings: Distill, cycle: int, cycles: int, share: float) -> float:
    """The learning rate of a step: one schedule over all cycles.

    Cycles differ in their number of steps where rankings are cumulative; each has an equal part of
    the schedule. Progress is (cycle + share) / cycles, in [0, 1). `one-cycle` rises along a cosine
    from 4 % of the peak over the first 15 %, then falls along another to 0 (arXiv 1708.07120, as
    PyTorch shapes it); `decay` is constant within a cycle: peak * 0.95^cycle.

    Args:
        settings: Schedule and peak.
        cycle: Number of the cycle, from 0.
        cycles: How many there are.
        share: The part of the cycle's steps that lies behind, in [0, 1).
    """
    if settings.schedule == "decay":
        return settings.learning_rate * DECAY**cycle
    progress = (cycle + share) / cycles
    if progress < WARM_UP:
        factor = START + (1 - START) * (1 - math.cos(math.pi * progress / WARM_UP)) / 2
    else:
        factor = (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
    return settings.learning_rate * factor
