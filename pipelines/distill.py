"""Stage `distill@<cycle>`: the teacher's preferences go into the image tower.

The cycle's rankings, the model and the training state of the cycle before, validation tournaments
    -> models/cycles/<cycle>/ (model/, state.pt), data/vectors/cycles/<cycle>/products.parquet,
       metrics/cycles/<cycle>.json, reports/curves/distill_<cycle>.csv, data/runs/<cycle>.json

The text tower stays frozen; how much of the image tower is trained, by which loss, is section
`distill` of params.yaml (docs/distillation.md). A run that was killed goes on from its last
checkpoint, var/checkpoints/, and ends with the same model.

Run:  dvc repro distill@c1
Also: torchrun --nproc-per-node 2 -m pipelines.distill c1
Tiny: python -m pipelines.distill c1, after distill.epochs: 1 in params.yaml
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.held_out.choice import NOTHING_LEARNED, Judges, Restraint, Validation
from pipelines.run.artifacts import read_parent_run, write_curves, write_run
from pipelines.run.code import ROOT, code_digests
from pipelines.run.params import Params, load_params
from pipelines.run.paths import (
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    cycle_metrics,
    cycle_model,
    cycle_state,
    rankings_file,
)
from pipelines.run.recipe import resolve_recipe
from pipelines.run.stage import cycle_argument, derive_seed, run_stage, say, stage_lock
from pipelines.training import cycle as training_cycle
from pipelines.training.distillation import CURVES, Curves
from pipelines.training.processes import Team, join_team
from pipelines.training.state import Checkpoint
from registry.tracking import log_curve, parent_run, training_run
from retrieval.compute import make_repeatable, resolve_device
from retrieval.encoder import WEIGHTS
from retrieval.storage.files import read_json, sha256_file, write_json

TRAINING = "pipelines/training/cycle.py"  # whose code decides what a step computes
NOT_REPEATABLE = "pictures_per_second"  # for MLflow only: DVC's outputs are equal for equal inputs


def train_and_save(
    params: Params, cycle: str, team: Team, checkpoint: Checkpoint
) -> tuple[Curves, dict[str, Any]]:
    """Train a cycle, hold its student back, write it; the curves, and the cycle's metrics."""
    before = read_json(cycle_metrics(params.cycles[cycle]))
    training = training_cycle.train(params, cycle, team, checkpoint)
    restraint, found = training_cycle.hold_back(training, Judges())
    training_cycle.save(training, cycle, restraint)
    history = [*before["history"], found.score]
    since_best = len(history) - 1 - history.index(max(history))
    say(f"cycle {cycle}: {describe(restraint, found)}")
    return training.curves, {
        "validation": found.to_json(),
        "restraint": asdict(restraint),
        "history": history,
        "stopped": since_best >= params.distill.patience,
    }


def describe(restraint: Restraint, found: Validation) -> str:
    """What a cycle came to, for people."""
    points = [
        f"{100 * gain:+.1f} points on {wishes} wishes"
        for gain, wishes in ((found.known, "known"), (found.held_out, "held-out"))
        if gain is not None
    ]
    gains = ", ".join(points) or "nobody to validate by"
    if restraint == NOTHING_LEARNED:
        return (
            "every span and blend harms held-out wishes or captions on validation: the student"
            " stays the base model. More kinds of wishes among the training personas help"
        )
    return f"{gains}, beside the base model (span {restraint.span:g}, blend {restraint.blend:g})"


def write_and_log(cycle: str, curves: Curves) -> None:
    """The curves, for DVC and for MLflow."""
    write_curves(
        f"distill_{cycle}",
        {name: values for name, values in curves.items() if name != NOT_REPEATABLE},
    )
    for name, values in curves.items():
        log_curve(name, values)


def checkpoint_key(
    inputs: Mapping[str, str], settings: Mapping[str, Any], root: Path = ROOT
) -> str:
    """A digest of all that training depends on: inputs, settings, and the code that it reaches."""
    content = [inputs, settings, code_digests(TRAINING, root)]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def distil(params: Params, cycle: str, team: Team) -> None:
    """Train with the team, and write and log all there is to write."""
    previous, stage = params.cycles[cycle], f"distill@{cycle}"
    inputs = (
        rankings_file(cycle), PRODUCTS_FILE, PERSONAS_FILE, CAPTION_VECTORS, PERSONA_VECTORS,
        TOURNAMENTS_FILE, cycle_state(previous), cycle_model(previous) / WEIGHTS,
    )  # fmt: skip
    digests = {str(path): sha256_file(path) for path in inputs}
    settings = {
        "seed": params.seed,
        "distill": params.distill.model_dump(),
        "compute": params.compute.model_dump(),
    }
    key = checkpoint_key(digests, {**settings, "cycles": list(params.cycles), "size": team.size})
    with stage_lock(stage), Checkpoint(stage, key) as checkpoint:
        parent = parent_run("distill", read_parent_run(previous))
        with training_run(stage, settings, digests, parent) as run:
            metrics = read_json(cycle_metrics(previous))
            if metrics["stopped"]:
                training_cycle.pass_through(params, cycle)
                curves: Curves = {name: [] for name in CURVES}
            else:
                curves, metrics = train_and_save(params, cycle, team, checkpoint)
            write_and_log(cycle, curves)
            log_curve("validation_gain", metrics["history"])
            write_json(cycle_metrics(cycle), metrics)
            write_run(cycle, run, parent)
        checkpoint.remove()


def main(cycle: str) -> None:
    """Distil one cycle, validate it, and say whether to stop; torchrun's other processes help."""
    params = resolve_recipe(load_params())
    with join_team(resolve_device(params.compute.device)) as team:
        make_repeatable(derive_seed(params.seed, f"distill@{cycle}"), params.compute.threads)
        if team.leads:
            distil(params, cycle, team)
        elif not read_json(cycle_metrics(params.cycles[cycle]))["stopped"]:
            training_cycle.train(params, cycle, team, checkpoint=None)


if __name__ == "__main__":
    run_stage(main, cycle_argument(__doc__))
