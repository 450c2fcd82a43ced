"""Concepts learned from photos: many at once, and of each only what its update changes.

C concepts, P photos or prompts each at most, d width of the tower, D of the embedding, R rank.
arXiv 2506.10182; the objective and how it is computed are in `concept_objective`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.concepts.concept import Concept, ConceptWarning, directions, generator
from retrieval.concepts.objective import Adam, Data, Objective
from retrieval.text.tower import TextTower

PROMPTS = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "{}",
    "here is {}",
    "this is {}",
    "one can see {} here",
    "a close look at {}",
    "{} in a photo",
    "a good photo of {}",
    "a snapshot that shows {}",
    "look, {}",
    "a view of {}",
)
TOGETHER = 256  # concepts in one program: memory, not speed, sets the limit
WINDOW = 10  # steps whose mean loss is compared with that of the same number before
LEAST_ALIKE = 0.25  # of the way from two pictures of anything (0) to twice the same one (1)


@dataclass(frozen=True)
class Settings:
    """How concepts are learned: full-batch Adam on `losses.concept_fit`, for each its own.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: int
    learning_rate: float
    l2: float  # lambda
    tolerance: float = 0.0  # a concept stops when `WINDOW` steps lower its loss by less; 0: never
    rank: int = 1
    prompts_per_photo: int = 1
    # Of everything, or of the large matrix products (bf16). Adam amplifies rounding: in fp32 the
    # queries of a concept learned alone and of the same one learned beside others may differ by
    # 0.01 in a coordinate after 300 steps at rate 0.01 (0.002 was seen; 1e-5 after 60 steps); in
    # fp64, at about twice the time, by 1e-7.
    precision: Literal["fp32", "fp64", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        """Check the values."""
        _expect(self.steps >= 1, "steps", self.steps, "at least 1")
        _expect(self.learning_rate > 0, "learning_rate", self.learning_rate, "more than 0")
        _expect(self.l2 > 0, "lambda (l2)", self.l2, "more than 0")
        _expect(0 <= self.tolerance < 1, "tolerance", self.tolerance, "0 to below 1")
        _expect(self.rank >= 1, "rank", self.rank, "at least 1")
        _expect(
            1 <= self.prompts_per_photo <= len(PROMPTS),
            "prompts_per_photo",
            self.prompts_per_photo,
            f"1 to {len(PROMPTS)}",
        )
        known = ("fp32", "fp64", "bf16")
        _expect(self.precision in known, "precision", self.precision, "fp32, fp64 or bf16")


def learn(
    tower: TextTower, start: Concept, photos_PD: NDArray[np.float32], settings: Settings
) -> tuple[Concept, list[float]]:
    """Learn one concept: `learn_many` of one.

    Returns:
        The concept with its learned factors, and the loss before every step.
    """
    [concept], losses_CS = learn_many(tower, [start], [photos_PD], settings)
    return concept, losses_CS[0].tolist()


def learn_many(
    tower: TextTower,
    starts: Sequence[Concept],
    photos: Sequence[NDArray[np.float32]],
    settings: Settings,
) -> tuple[list[Concept], NDArray[np.float32]]:
    """Learn concepts from the image vectors of their photos, all together.

    What a concept comes out as does not depend on the others but for rounding
    (`Settings.precision` says how far).

    Args:
        tower: The text tower; unchanged.
        starts: Where to start: see `new_concept`. Rows that the rank asks for beyond a start's own
            are drawn by its name.
        photos: For each concept, one unit image vector (D,) a photo.
        settings: How.

    Returns:
        The concepts with their learned factors, and the loss before every step (C, steps); of a
        concept that stopped early, its last one repeated.

    Raises:
        ValueError: A concept has no photos, vectors of another width or not finite ones, words
            that do not fit into the tower's context, or a start of another width or higher rank.

    Warns:
        ConceptWarning: See `photo_concerns`.
    """
    if len(starts) != len(photos):
        msg = f"got {len(starts)} concepts and photos of {len(photos)}, expected as many"
        raise ValueError(msg)
    for start, photos_PD in zip(starts, photos, strict=True):
        _check(tower, start, photos_PD, settings)
    for start, photos_PD in zip(starts, photos, strict=True):
        for concern in photo_concerns(photos_PD):
            warnings.warn(f"concept {start.name}: {concern}", ConceptWarning, stacklevel=2)
    learned: list[Concept] = []
    losses = [np.empty((0, settings.steps), dtype=np.float32)]
    for first in range(0, len(starts), TOGETHER):
        some = slice(first, first + TOGETHER)
        concepts, losses_CS = _learn_together(tower, starts[some], photos[some], settings)
        learned += concepts
        losses.append(losses_CS)
    return learned, np.concatenate(losses)


def photo_concerns(photos_PD: NDArray[np.float32], unrelated: float = 0.0) -> list[str]:
    """What about a concept's photos its owner should hear: sentences, none if all is well.

    Args:
        photos_PD: Unit image vectors.
        unrelated: The mean cosine of two pictures of anything, by the same model.
    """
    count = len(photos_PD)
    if count < 2:
        return ["one photo only: scene and object cannot be told apart; 3 to 5 photos are better"]
    alike_PP = (photos_PD @ photos_PD.T).astype(np.float64)
    alike_P = (alike_PP.sum(axis=1) - np.diag(alike_PP)) / (count - 1)
    mean, least = alike_P.mean(), unrelated + LEAST_ALIKE * (1 - unrelated)
    if mean >= least:
        return []
    odd = int(alike_P.argmin()) + 1
    return [
        f"the photos show very different things: their mean cosine is {mean:.2f}, {least:.2f} or"
        f" more was expected; photo {odd} resembles the others least"
    ]


def prompts_for(concept: Concept, photos: int, per_photo: int) -> list[str]:
    """Prompts, `per_photo` in a row for each photo: without replacement until all are drawn."""
    order = generator(concept.name).permutation(len(PROMPTS))
    return [
        PROMPTS[order[number % len(PROMPTS)]].format(concept.phrase)
        for number in range(photos * per_photo)
    ]


def _learn_together(
    tower: TextTower,
    starts: Sequence[Concept],
    photos: Sequence[NDArray[np.float32]],
    settings: Settings,
) -> tuple[list[Concept], NDArray[np.float32]]:
    device = tower.encoder.device
    wide = [_widened(start, settings.rank) for start in starts]
    rounded, dtype = _in_precision(tower, settings)
    a_CRd, b_CRd = (torch.stack(factors).to(device, dtype) for factors in zip(*wide, strict=True))
    data = _gather(rounded, starts, photos, settings.prompts_per_photo)
    losses_SC = _descend(rounded, data, a_CRd, b_CRd, settings)
    unit_CRd = a_CRd / a_CRd.norm(dim=-1, keepdim=True)
    factors = zip(unit_CRd.float().cpu(), b_CRd.float().cpu(), strict=True)
    learned = [
        # Cloned: a view would keep all the concepts' factors in memory for one of them.
        replace(start, a_Rd=a_Rd.clone(), b_Rd=b_Rd.clone(), base=tower.digest)
        for start, (a_Rd, b_Rd) in zip(starts, factors, strict=True)
    ]
    return learned, losses_SC.T.float().cpu().numpy()


def _in_precision(tower: TextTower, settings: Settings) -> tuple[TextTower, torch.dtype]:
    """The tower to compute with, and the type of A and B."""
    if settings.precision == "bf16":
        return tower.in_bfloat16(), torch.float32
    if settings.precision == "fp64":
        return tower.in_float64(), torch.float64
    return tower, torch.float32


def _descend(
    tower: TextTower, data: Data, a_CRd: torch.Tensor, b_CRd: torch.Tensor, settings: Settings
) -> torch.Tensor:
    """Change A and B in place; returns the losses (steps, C)."""
    losses_SC = a_CRd.new_empty(settings.steps, len(a_CRd))
    active = torch.arange(len(a_CRd), device=a_CRd.device)
    objective = Objective(tower, data, settings.l2)
    adam = Adam([a_CRd.clone(), b_CRd.clone()], settings.learning_rate)
    for step in range(settings.steps):
        factors = [x.requires_grad_() for x, _, _ in adam.state]
        loss_C = objective(*factors)
        gradients = torch.autograd.grad(loss_C.sum(), factors)
        with torch.no_grad():
            adam.step(gradients)
            losses_SC[step:, active] = loss_C.detach()
            going_C = _going(losses_SC[: step + 1, active], settings.tolerance)
        if going_C is None and step + 1 < settings.steps:
            continue
        with torch.no_grad():
            a_CRd[active], b_CRd[active] = (x.detach() for x, _, _ in adam.state)
            if going_C is None or not going_C.any():
                break
            active = active[going_C]
            adam.keep(going_C)
            objective = Objective(tower, data.of(active), settings.l2)
    return losses_SC


def _going(losses_SC: torch.Tensor, tolerance: float) -> torch.Tensor | None:
    """Which concepts have not converged; None: all go on, or it is not the time to ask."""
    if not tolerance or len(losses_SC) < 2 * WINDOW or len(losses_SC) % WINDOW:
        return None
    before_C, now_C = losses_SC[-2 * WINDOW : -WINDOW].mean(0), losses_SC[-WINDOW:].mean(0)
    going_C = before_C - now_C >= tolerance * before_C
    return None if going_C.all() else going_C


def _gather(
    tower: TextTower,
    starts: Sequence[Concept],
    photos: Sequence[NDArray[np.float32]],
    per_photo: int,
) -> Data:
    """The prompts of every concept, each distinct text encoded once, beside their photos."""
    texts = [
        prompts_for(start, len(photos_PD), per_photo)
        for start, photos_PD in zip(starts, photos, strict=True)
    ]
    distinct = {text: number for number, text in enumerate(dict.fromkeys(chain(*texts)))}
    most = max(len(prompts) for prompts in texts)
    text_CP = np.zeros((len(starts), most), dtype=np.int64)
    valid_CP = np.zeros((len(starts), most), dtype=np.bool_)
    target_CPD = np.zeros((len(starts), most, photos[0].shape[1]), dtype=np.float32)
    for row, (prompts, photos_PD) in enumerate(zip(texts, photos, strict=True)):
        text_CP[row, : len(prompts)] = [distinct[prompt] for prompt in prompts]
        valid_CP[row, : len(prompts)] = True
        target_CPD[row, : len(prompts)] = photos_PD.repeat(per_photo, axis=0)
    text, valid, target = (
        torch.from_numpy(array).to(tower.encoder.device)
        for array in (text_CP, valid_CP, target_CPD)
    )
    return Data(tower.prefix(list(distinct)), text, valid, target)


def _widened(start: Concept, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B with the rows that the rank asks for beyond the start's own: drawn by name, zero."""
    own, width = start.a_Rd.shape
    more_Rd = directions(start.name, rank, width)[own:]
    return torch.cat([start.a_Rd, more_Rd]), torch.cat([start.b_Rd, torch.zeros_like(more_Rd)])


def _check(
    tower: TextTower, start: Concept, photos_PD: NDArray[np.float32], settings: Settings
) -> None:
    """Refuse what cannot be learned from."""
    width, about = tower.encoder.width, f"concept {start.name}"
    if photos_PD.ndim != 2 or not len(photos_PD):
        msg = f"{about}: got no photos, expected 1 or more (3 to 5 are best)"
        raise ValueError(msg)
    if photos_PD.shape[1] != width or not np.isfinite(photos_PD).all():
        msg = f"{about}: got photos of shape {photos_PD.shape}, expected finite ones of {width}"
        raise ValueError(msg)
    if start.a_Rd.shape[1] != tower.width or len(start.a_Rd) > settings.rank:
        msg = (
            f"{about}: got a start of shape {tuple(start.a_Rd.shape)}, expected rank"
            f" {settings.rank} at most and width {tower.width}"
        )
        raise ValueError(msg)
    longest = max(PROMPTS, key=len).format(start.phrase)
    ids = tower.encoder.tokens([longest, f"{longest} {start.identifier}"])
    if torch.equal(ids[0], ids[1]):
        msg = f"{about}: the noun {start.noun!r} is too long for the model's context"
        raise ValueError(msg)


def _expect(met: bool, name: str, value: object, expected: str) -> None:
    if not met:
        msg = f"got {name} {value}, expected {expected}"
        raise ValueError(msg)
