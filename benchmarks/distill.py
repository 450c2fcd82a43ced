"""How much of the image tower's own speed distillation keeps when the whole tower is trained.

Distillation is the project's: groups, mirrored pictures, the loss on orders, the caption term, the
clipped AdamW step, the running average. Its limit is a bare loop over the same tower: the same
pictures, already normalised, forward, and backward of the vectors' sum. Both run in turns in one
process, after a warm-up; median and range over the turns.

    python -m benchmarks.distill                  # after `dvc repro label@c1`; over five minutes
    python -m benchmarks.distill --steps 2 --turns 3 --batch-groups 16
"""

import argparse
import sys
import time

import torch

from benchmarks.measured import Rows
from pipelines.run.params import Distill, load_params
from pipelines.training.cycle import prepare
from pipelines.training.distillation import Distillation
from pipelines.training.processes import Team
from retrieval.compute import autocast, make_repeatable, resolve_device

SHARE = 0.7  # of the bare loop's speed, at least
Shown = list[torch.Tensor]


def prepare_training(batch_groups: int) -> Distillation:
    """The first cycle of this project, with the whole tower trained."""
    params = load_params()
    changes = {"recipe": "default", "train": "whole", "batch_groups": batch_groups}
    settings = Distill.model_validate({**params.distill.model_dump(), **changes})
    device = resolve_device(params.compute.device)
    make_repeatable(params.seed, params.compute.threads)
    changed = params.model_copy(update={"distill": settings})
    return prepare(changed, next(iter(params.cycles)), Team(0, 1, device))[0]


def bare_pictures(training: Distillation, steps: range) -> Shown:
    """The pictures of those steps, normalised."""
    batches = [training.preferences.parts(training.plan[step], 1)[0] for step in steps]
    return [
        training.student.pictures.shown(batch.products_U, torch.zeros_like(batch.products_U))
        for batch in batches
    ]


def run_bare(training: Distillation, shown: Shown) -> float:
    """Pictures per second of forward and backward alone."""
    visual = training.student.encoder.model.visual
    start = time.perf_counter()
    for pictures_U3SS in shown:
        with autocast(training.team.device, training.precision):
            total = visual(pictures_U3SS).float().sum()
        torch.autograd.backward(total)
        for parameter in visual.parameters():
            parameter.grad = None
    return _speed(training, shown, start)


def run_distillation(training: Distillation, steps: range, shown: Shown) -> float:
    """Pictures per second of whole steps."""
    start = time.perf_counter()
    for step in steps:
        training.step(step)
    return _speed(training, shown, start)


def _speed(training: Distillation, shown: Shown, start: float) -> float:
    if training.team.device.startswith("cuda"):
        torch.cuda.synchronize()
    return sum(len(pictures) for pictures in shown) / (time.perf_counter() - start)


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Speeds of both, turn by turn, and the share of each turn; the first turn warms up."""
    training = prepare_training(options.batch_groups)
    found: dict[str, list[float]] = {"bare": [], "distillation": [], "share": []}
    for turn in range(options.turns + 1):
        steps = range(turn * options.steps, (turn + 1) * options.steps)
        shown = bare_pictures(training, steps)
        bare = run_bare(training, shown)
        ours = run_distillation(training, steps, shown)
        again = run_bare(training, shown)  # before and after: the machine's speed drifts
        if turn:
            middle = 2 / (1 / bare + 1 / again)
            for name, value in zip(found, (middle, ours, ours / middle), strict=True):
                found[name].append(value)
    return found


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4, help="a turn (default: 4)")
    parser.add_argument("--turns", type=int, default=7, help="after the warm-up (default: 7)")
    parser.add_argument("--batch-groups", type=int, default=64, help="a step (default: 64)")
    found = measure(parser.parse_args())
    rows = Rows()
    rows.add("forward and backward alone", found["bare"], "pictures/s")
    rows.add("distillation of the whole tower", found["distillation"], "pictures/s")
    shares = [100 * share for share in found["share"]]
    rows.add("   in the bare loop's speed", shares, "%", ("at least", 100 * SHARE))
    sys.exit(1 if rows.missed else 0)


if __name__ == "__main__":
    main()
