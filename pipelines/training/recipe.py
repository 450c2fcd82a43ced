"""What a recipe's name stands for, and its learning rate at every moment of all cycles."""

import math

from pipelines.run.params import Distill

# arXiv 2510.12014's own: tau = 1, a sum over pairs, no retention term, the whole image encoder and
# its projection, AdamW (weight decay: PyTorch's default) at 1e-6 * 0.95^cycle, clipped to norm 1,
# one epoch a cycle. Their code takes a single step a cycle and normalises across the group instead
# of the width; that is not repeated here. Batches are as in params.yaml: the paper gives none.
PUBLISHED = {
    "train": "whole",
    "epochs": 1,
    "loss": "bradley-terry-sum",
    "temperature": 1.0,
    "retention_weight": 0.0,
    "schedule": "decay",
    "learning_rate": 1e-6,
    "weight_decay": 0.01,
    "grad_clip": 1.0,
    "blend": 1.0,
}
DECAY = 0.95  # a cycle
WARM_UP = 0.15  # share of all cycles in which the rate rises
START = 0.04  # of the peak


def resolve_recipe(settings: Distill) -> Distill:
    """The settings that training goes by: `published` replaces what the paper fixes."""
    if settings.recipe == "default":
        return settings
    return Distill.model_validate({**settings.model_dump(), **PUBLISHED})


def learning_rate(settings: Distill, cycle: int, cycles: int, share: float) -> float:
    """The learning rate of a step: one schedule over all cycles.

    Cycles differ in their number of steps, since rankings are cumulative; each has an equal part of
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
