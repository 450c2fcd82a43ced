"""How an untrained image tower learns to read pictures literally, from the captions of products.

First the trunk, through a linear projection that is thrown away afterwards, to choose the right
caption among all of them; then the head, on the trunk's features, to lie where that caption lies.
The choice teaches fast what tells captions apart but fills the rest of the space with what no
caption says, which every later text would meet as noise; the alignment clears it.

N pictures, C distinct captions, B pictures a step, F width of the trunk's features, D embedding
width, S picture side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import clip_grad_norm_

from pipelines.run.params import Params
from pipelines.run.stage import derive_seed, progress
from pipelines.training.image_tower import SplitTower, mirrored_features, split_tower
from pipelines.training.losses import alignment, caption_choice, refuse_not_finite
from retrieval.captions import number_captions
from retrieval.compute import autocast, resolve_precision
from retrieval.encoder import Encoder

MAX_SCALE = 100.0  # of the contrast's inverse temperature, as CLIP caps it
GRAD_CLIP = 1.0
WEIGHT_DECAY = 0.05
WARM_UP = 0.15  # share of the steps in which the learning rate rises
HEAD_BATCH = 128
FINETUNING = 0.1  # share of the trunk's learning rate, where it has weights to keep
HEAD_NOISE = 0.3  # standard deviations of each feature


@dataclass(frozen=True)
class Captioned:
    """The captions of pictures; equal captions have one number."""

    captions_CD: torch.Tensor
    number_N: torch.Tensor  # row in C of each picture's caption

    def batches(self, size: int, epochs: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
        """Picture numbers of each step: shuffled anew each epoch, the last partial batch left out.

        `size` is cut to the number of pictures.
        """
        count = len(self.number_N)
        size = min(size, count)
        orders = [rng.permutation(count) for _ in range(epochs)]
        starts = range(0, count - size + 1, size)
        return [order[start : start + size] for order in orders for start in starts]


def pair_with_captions(captions: Sequence[str], vectors_ND: torch.Tensor) -> Captioned:
    """The captions of pictures and their vectors, row for row; on the vectors' device."""
    _, number_N = number_captions(list(captions))
    first_C = np.unique(number_N, return_index=True)[1]  # a picture that has each caption
    number = torch.from_numpy(number_N).to(vectors_ND.device)
    return Captioned(vectors_ND[first_C], number)


def train_trunk(
    encoder: Encoder, pixels_N3SS: torch.Tensor, captioned: Captioned, params: Params
) -> list[float]:
    """Train the trunk and the contrast's temperature; returns the loss of every step."""
    rng = np.random.default_rng(derive_seed(params.seed, "base", "trunk"))
    batches = captioned.batches(params.base.batch_size, params.base.epochs, rng)
    model, tower = encoder.model, split_tower(encoder.model.visual)
    width = mirrored_features(encoder, tower, pixels_N3SS[:1]).shape[-1]
    projection = nn.Linear(width, encoder.width, bias=False, device=encoder.device)

    def loss_of_step(step: int) -> torch.Tensor:
        batch = batches[step]
        shown = encoder.normalised(mirror_half(pixels_N3SS[batch], rng))
        images_BD = F.normalize(projection(tower.trunk(shown)).float(), dim=-1)
        scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
        return caption_choice(images_BD, captioned.captions_CD, captioned.number_N[batch], scale)

    model.visual.train()
    parameters = [*tower.trunk_parameters, *projection.parameters(), model.logit_scale]
    loop = _loop("trunk", len(batches), params.base.learning_rate, encoder, params)
    return _fit(encoder, parameters, loss_of_step, loop)


def train_head(
    encoder: Encoder, captioned: Captioned, features_2NF: torch.Tensor, params: Params
) -> list[float]:
    """Train the head on the trunk's features (2, N, F), mirrored at 1; the loss of every step.

    The trunk knows these pictures: noise on its features keeps the head from relying on that.
    """
    rng = np.random.default_rng(derive_seed(params.seed, "base", "head"))
    batches = captioned.batches(HEAD_BATCH, params.base.head_epochs, rng)
    tower = split_tower(encoder.model.visual)
    noise_F = HEAD_NOISE * features_2NF.std(dim=(0, 1), correction=0)
    own_ND = captioned.captions_CD[captioned.number_N]

    def loss_of_step(step: int) -> torch.Tensor:
        batch = batches[step]
        features_BF = features_2NF[rng.integers(2, size=len(batch)), batch]
        drawn_BF = torch.from_numpy(rng.standard_normal(features_BF.shape, dtype=np.float32))
        features_BF = features_BF + noise_F * drawn_BF.to(noise_F.device)
        return alignment(F.normalize(tower.head(features_BF).float(), dim=-1), own_ND[batch])

    loop = _loop("head", len(batches), params.base.head_learning_rate, encoder, params)
    return _fit(encoder, tower.head_parameters, loss_of_step, loop)


def train_stages(
    encoder: Encoder,
    tower: SplitTower,
    captioned: Captioned,
    maps_2NCHW: torch.Tensor,
    params: Params,
) -> list[float]:
    """Train the trunk's last stages with the head, which has been trained; the loss of every step.

    An untrained head would spoil the stages first (arXiv 2202.10054). Batch norm keeps its
    statistics: the encoder is in eval mode.

    Args:
        encoder: The model.
        tower: Its image tower, as `split_stages` splits it.
        captioned: The captions of the pictures.
        maps_2NCHW: What enters the stages, mirrored at 1.
        params: All of them.
    """
    rng = np.random.default_rng(derive_seed(params.seed, "base", "stages"))
    batches = captioned.batches(params.base.batch_size, params.base.epochs, rng)
    own_ND = captioned.captions_CD[captioned.number_N]

    def loss_of_step(step: int) -> torch.Tensor:
        batch = batches[step]
        maps_BCHW = maps_2NCHW[rng.integers(2, size=len(batch)), batch]
        return alignment(F.normalize(tower.head(maps_BCHW).float(), dim=-1), own_ND[batch])

    rate = FINETUNING * params.base.learning_rate
    loop = _loop("stages", len(batches), rate, encoder, params)
    return _fit(encoder, tower.head_parameters, loss_of_step, loop)


def mirror_half(pixels_B3SS: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror each picture with probability 1/2: no caption says left or right."""
    mirrored = torch.from_numpy(rng.random(len(pixels_B3SS)) < 0.5)
    return torch.where(mirrored[:, None, None, None], pixels_B3SS.flip(-1), pixels_B3SS)


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
    optimizer = torch.optim.AdamW(
        parameters, lr=loop.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
    )
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


def _loop(label: str, steps: int, rate: float, encoder: Encoder, params: Params) -> Loop:
    precision = resolve_precision(params.compute.precision, encoder.device)
    return Loop(steps, rate, GRAD_CLIP, precision, encoder.device, label)


def _fit(
    encoder: Encoder,
    parameters: list[nn.Parameter],
    loss_of_step: Callable[[int], torch.Tensor],
    loop: Loop,
) -> list[float]:
    for parameter in parameters:
        parameter.requires_grad = True
    losses = train(parameters, loss_of_step, loop)
    encoder.model.eval().requires_grad_(requires_grad=False)
    return losses
