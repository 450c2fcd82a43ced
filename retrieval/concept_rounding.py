"""Does a concept's rounding in fp32 depend on what is computed beside it? Measured, not assumed.

Libraries sum a matrix product in an order that depends on its size, and Adam amplifies the last
bit over hundreds of steps. On many processors the order is the same from some number of rows on;
filled up to it, every step of a concept has the same bits alone and in a crowd, and so has the
concept. No library promises this. So it is tried with the tower itself, once a process.

C concepts, P prompts each at most, d width of the tower, D of the embedding, R rank, B texts.
"""

import weakref

import torch
from torch import nn

from retrieval.concept_objective import Data, Objective, prefix_of
from retrieval.text_tower import TextTower

LEAST = (16, 32, 64)  # numbers of concepts that are tried
PROMPTS = 5
TEXTS = tuple(f"{opening} thing" for opening in ("a", "here is a", "this is one more", "a good"))

_STEADY: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, int], int | None]] = (
    weakref.WeakKeyDictionary()
)


def steady_from(tower: TextTower, rank: int) -> int | None:
    """How many concepts have to be computed together for one's bits not to depend on the others.

    Args:
        tower: The text tower, in fp32.
        rank: R of the concepts.

    Returns:
        One of `LEAST`; None if none of them is enough on this machine, with torch's threads as
        they are now.
    """
    known = _STEADY.setdefault(tower.encoder.model.text, {})
    key = torch.get_num_threads(), rank
    if key not in known:
        known[key] = next((least for least in LEAST if _steady(tower, rank, least)), None)
    return known[key]


def _steady(tower: TextTower, rank: int, least: int) -> bool:
    """Try some sizes of crowd: the loss, its gradients, and what precedes them."""
    generator = torch.Generator().manual_seed(0)
    crowd = 2 * least + 5
    data = _data(tower, crowd, least, generator)
    factors = [torch.randn(crowd, rank, tower.width, generator=generator) for _ in range(2)]
    whole = _step(tower, data, factors, least)
    for few in (1, 2, 3, 5, 8, *range(least - 1, least + 8)):
        some = torch.arange(few, device=data.text_CP.device)
        part = _step(tower, data.of(some), [factor[:few] for factor in factors], least)
        if not all(torch.equal(one, other[:few]) for one, other in zip(part, whole, strict=True)):
            return False
    alone = prefix_of(tower, TEXTS[:1], least)
    return torch.equal(alone.inputs_BLd[0], data.prefix.inputs_BLd[0]) and torch.equal(
        alone.weights_BQHL[0], data.prefix.weights_BQHL[0]
    )


def _data(tower: TextTower, concepts: int, least: int, generator: torch.Generator) -> Data:
    """Concepts of one to `PROMPTS` prompts, pictures of anything."""
    device = tower.encoder.device
    text_CP = torch.randint(len(TEXTS), (concepts, PROMPTS), generator=generator)
    count_C1 = torch.arange(concepts)[:, None] % PROMPTS + 1
    target_CPD = torch.randn(concepts, PROMPTS, tower.encoder.width, generator=generator)
    return Data(
        prefix_of(tower, [*TEXTS, *[TEXTS[-1]] * least], least),
        text_CP.to(device),
        (torch.arange(PROMPTS) < count_C1).to(device),
        target_CPD.to(device),
    )


def _step(
    tower: TextTower, data: Data, factors: list[torch.Tensor], least: int
) -> list[torch.Tensor]:
    """The loss of each concept, and its gradients for A and B."""
    leaves = [factor.to(tower.encoder.device).requires_grad_() for factor in factors]
    loss_C = Objective(tower, data, 0.1, least)(*leaves)
    return [loss_C.detach(), *torch.autograd.grad(loss_C.sum(), leaves)]
