"""The loop that trains the base model's image tower; what for is its caller's loss."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from pipelines.stage import progress
from retrieval.compute import autocast

WEIGHT_DECAY = 0.05
WARM_UP = 0.15  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class Loop:
    """How long and how fast: AdamW under a one-cycle schedule."""

    steps: int
    learning_rate: float  # the peak
    grad_clip: float
    precision: str
    device: str
    label: str  # beside the progress bar


def train(
    parameters: list[nn.Parameter], loss_of_step: Callable[[int], torch.Tensor], loop: Loop
) -> list[float]:
    """Minimise the loss of step 0, 1, ...

    Returns:
        The loss of every step.

    Raises:
        FloatingPointError: The loss is no longer finite; the message says what to turn down.
    """
    optimizer = torch.optim.AdamW(parameters, lr=loop.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, loop.learning_rate, total_steps=loop.steps, pct_start=WARM_UP
    )
    losses: list[float] = []
    for step in progress(range(loop.steps), loop.label):
        with autocast(loop.device, loop.precision):
            loss = loss_of_step(step)
        refuse_not_finite(loss, step, loop.learning_rate)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        clip_grad_norm_(parameters, loop.grad_clip)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def refuse_not_finite(loss: torch.Tensor, step: int, learning_rate: float) -> None:
    """Stop before such a step does harm.

    Raises:
        FloatingPointError: The loss is not finite; the message says what to turn down.
    """
    if not loss.isfinite():
        msg = (
            f"the loss of step {step} is {loss.item()}; lower the learning rate"
            f" (now {learning_rate}) or use compute.precision: fp32"
        )
        raise FloatingPointError(msg)
