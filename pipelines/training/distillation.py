"""The loop that distils: from the teacher's orders to the trained part of the student.

A step's groups are divided among processes and, within each, among the parts of an accumulated
gradient; since the parts' losses add up to the whole step's, so do their gradients, however many
there are. What a step draws follows from its number and the seed, so a resumed run draws the same.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from pipelines.run.params import Distill
from pipelines.run.stage import progress
from pipelines.training.losses import refuse_not_finite
from pipelines.training.preferences import Batch, Preferences
from pipelines.training.processes import Team
from pipelines.training.recipe import learning_rate
from pipelines.training.state import Checkpoint, State
from pipelines.training.student import Student
from retrieval.compute import autocast

Curves = dict[str, list[float]]  # name -> its value at every step
CURVES = (
    "preference", "retention", "learning_rate", "grad_norm", "pictures_per_second",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Which cycle of how many this is, and the seed of all that it draws."""

    name: str
    cycle: int  # from 0
    cycles: int
    seed: int


@dataclass
class Distillation:
    """One cycle of training. Steps count from 0."""

    student: Student
    preferences: Preferences
    settings: Distill
    place: Place
    team: Team
    precision: str
    curves: Curves = field(default_factory=lambda: {name: [] for name in CURVES})

    def __post_init__(self) -> None:
        """Plan the steps, and make the optimiser."""
        settings = self.settings
        steps = -(-settings.epochs * len(self.preferences) // settings.batch_groups)
        self.plan = self.preferences.plan(steps, settings.batch_groups, self.place.seed)
        self._parameters = list(self.student.trained.values())
        self._optimizer = torch.optim.AdamW(self._parameters, weight_decay=settings.weight_decay)

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Take every step that has not been taken.

        Args:
            checkpoint: Where to leave the state now and then; None in processes that do not lead.

        Raises:
            FloatingPointError: The loss is no longer finite; the message says what to turn down.
        """
        done = len(self.curves["preference"])
        for step in progress(range(done, len(self.plan)), f"distill {self.place.name}"):
            self.step(step)
            if checkpoint is not None and checkpoint.due():
                checkpoint.write(self.state())

    def step(self, step: int) -> None:
        """One step of the optimiser. Raises as `run`."""
        start = time.perf_counter()
        losses, pictures = self._gradient(step)
        self.team.add_gradients(self._parameters)
        place = self.place
        rate = learning_rate(self.settings, place.cycle, place.cycles, step / len(self.plan))
        total = losses[0] + self.settings.retention_weight * losses[1]
        refuse_not_finite(total, step, rate)
        norm = clip_grad_norm_(self._parameters, self.settings.grad_clip)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        speed = pictures.item() / (time.perf_counter() - start)
        values = (*losses.tolist(), rate, norm.item(), speed)
        for name, value in zip(CURVES, values, strict=True):
            self.curves[name].append(value)

    def _gradient(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Leave the step's gradient in the parameters; both losses, and the pictures seen."""
        team, accumulate = self.team, self.settings.accumulate
        mirrored_P, captions_P = self._draw_views(step)
        parts = self.preferences.parts(self.plan[step], team.size * accumulate)
        own = parts[team.rank * accumulate : (team.rank + 1) * accumulate]
        sums = torch.zeros(3, device=team.device)
        for batch in own:
            with autocast(team.device, self.precision):
                loss, retention = self._losses(batch, mirrored_P, captions_P)
                total = loss + self.settings.retention_weight * retention
            torch.autograd.backward(total)
            seen = loss.new_tensor(len(batch.products_U))
            sums += torch.stack([loss.detach(), retention.detach(), seen])
        if self.settings.retention_texts and self.settings.train != "whole":
            sums[1] += self._text_gradient(step, mirrored_P)
        team.add_up([sums])
        return sums[:2], sums[2]

    def _text_gradient(self, step: int, mirrored_P: torch.Tensor) -> torch.Tensor:
        """The same for this process's share of the retention term from text to picture."""
        rng = np.random.default_rng([self.place.seed, step, 1])
        rows = self.preferences.draw_pictures(rng)
        rows_N = torch.from_numpy(rows)
        with autocast(self.team.device, self.precision):
            images_ND = self.student.images(rows_N, mirrored_P[rows_N])
            loss = self.preferences.text_retention(images_ND, rows, self.team.rank, self.team.size)
        share = self.settings.retention_texts * loss
        torch.autograd.backward(self.settings.retention_weight * share)
        return share.detach()

    def _draw_views(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """How a step shows each product: mirrored where 1; by its caption where true."""
        rng = np.random.default_rng([self.place.seed, step])
        products = self.preferences.products
        mirrored_P = torch.from_numpy(rng.integers(2, size=products) * self.settings.mirror)
        captions_P = torch.from_numpy(rng.random(products) < self.settings.caption_views)
        return mirrored_P, captions_P

    def _losses(
        self, batch: Batch, mirrored_P: torch.Tensor, captions_P: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        images_UD = self.student.views(
            batch.products_U, mirrored_P[batch.products_U], captions_P[batch.products_U]
        )
        scale = self.student.encoder.model.logit_scale.exp()
        return self.preferences.losses(images_UD, batch, self.settings.temperature, scale)

    def state(self) -> State:
        """All that the next steps, or the next cycle, depend on."""
        state: State = {
            "trained": {name: p.detach().clone() for name, p in self.student.trained.items()},
            "optimizer": self._optimizer.state_dict(),
            "curves": self.curves,
            "rng": torch.get_rng_state(),
        }
        if self.team.device.startswith("cuda"):
            state["cuda_rng"] = torch.cuda.get_rng_state(self.team.device)
        return state

    def restore(self, state: State) -> None:
        """Go on from a state of this cycle, or, its curves emptied, of the previous one."""
        with torch.no_grad():
            for name, parameter in self.student.trained.items():
                parameter.copy_(state["trained"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.curves = {name: list(values) for name, values in state["curves"].items()}
        torch.set_rng_state(state["rng"])
        if "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.team.device)
