"""Stage `distill@<cycle>`: the teacher's preferences go into the image tower.

The cycle's rankings, the previous model with the state of its training, the validation tournaments
    -> models/student/<cycle>/, models/training/<cycle>/, data/vectors/<cycle>/products.parquet,
       metrics/<cycle>.json, reports/curves/distill_<cycle>.csv, data/runs/<cycle>.json

The text tower stays frozen; how much of the image tower is trained, by which loss, is section
`distill` of params.yaml (docs/distillation.md). A run that was killed goes on from its last
checkpoint, var/checkpoints/, and ends with the same model.

Run:  dvc repro distill@c1
Also: torchrun --nproc-per-node 2 -m pipelines.distill c1
Tiny: python -m pipelines.distill c1, after distill.epochs: 1 in params.yaml
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.artifacts import read_parent_run, write_curves, write_run
from pipelines.distill_plot import percentile_figure
from pipelines.distillation import CURVES, Curves, Distillation, Place
from pipelines.held_out import read_held_out
from pipelines.params import Params, load_params
from pipelines.paths import (
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    model_metrics,
    product_vectors,
    rankings_file,
    student_model,
    training_state,
)
from pipelines.preferences import Preferences
from pipelines.processes import Team, join_team
from pipelines.recipe import resolve_recipe
from pipelines.stage import cycle_argument, derive_seed, say, stage_lock
from pipelines.student import Student
from pipelines.training_state import Checkpoint, State, read_state, write_state
from registry.tracking import log_curve, log_figure, parent_run, training_run
from retrieval.compute import make_repeatable, resolve_device, resolve_precision
from retrieval.encoder import WEIGHTS, load_encoder, save_encoder
from retrieval.files import atomic_folder, read_json, sha256_file, write_json
from retrieval.schema import PERSONAS, PRODUCTS, RANKINGS, read_rows
from retrieval.vectors import read_vectors, write_vectors

CODE = Path(__file__).parents[1]
NOT_REPEATABLE = "pictures_per_second"  # for MLflow only: DVC's outputs are equal for equal inputs


def prepare(params: Params, cycle: str, team: Team) -> tuple[Distillation, State]:
    """A cycle's training before its first step, and the state of the cycle before it."""
    settings, prev = resolve_recipe(params.distill), params.cycles[cycle]
    before = read_state(training_state(prev.prev))
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    rankings = read_rows(rankings_file(cycle), RANKINGS)
    encoder = load_encoder(prev.prev_model, team.device)
    preferences = Preferences(rankings, products, settings, team.device)
    with team.leader_first():
        student = Student(encoder, settings, products, before.get("base", {}), mean_text())
    names = list(params.cycles)
    seed = derive_seed(params.seed, "distill", cycle)
    place = Place(cycle, names.index(cycle), len(names), seed)
    precision = resolve_precision(params.compute.precision, team.device)
    if settings.train in ("head", "map"):
        precision = "fp32"  # a small product of matrices: casting would cost more
    return Distillation(student, preferences, settings, place, team, precision), before


def mean_text() -> NDArray[np.float32]:
    """The mean vector (D,) of the training personas' texts."""
    personas = read_rows(PERSONAS_FILE, PERSONAS)
    ids = [persona["persona_id"] for persona in personas if persona["split"] == "train"]
    mean_D: NDArray[np.float32] = read_vectors(PERSONA_VECTORS).rows(ids).mean(axis=0)
    return mean_D


def train(params: Params, cycle: str, team: Team, checkpoint: Checkpoint | None) -> Distillation:
    """Train a cycle, from its last checkpoint if there is one."""
    training, before = prepare(params, cycle, team)
    resumed = team.from_leader(checkpoint.read() if checkpoint is not None else None)
    if resumed or before:
        training.restore(resumed or before)
    if resumed and team.leads:
        say(f"distill {cycle}: resumed at step {len(training.curves['preference'])}")
    training.run(checkpoint)
    return training


def leave(training: Distillation, cycle: str) -> None:
    """Write the model, the state that the next cycle goes on from, and all products' vectors."""
    state = {**training.state(), "curves": {name: [] for name in CURVES}}
    student = training.student
    base = student.settle(training.blend)
    write_state(training_state(cycle), {**state, "base": base})
    save_encoder(student.encoder, student_model(cycle))
    ids = [product["product_id"] for product in read_rows(PRODUCTS_FILE, PRODUCTS)]
    write_vectors(product_vectors(cycle), ids, student.vectors())


def pass_through(params: Params, cycle: str) -> None:
    """After an early stop: the previous model is this cycle's."""
    prev = params.cycles[cycle]
    with atomic_folder(student_model(cycle)) as temporary:
        shutil.copytree(prev.prev_model, temporary, dirs_exist_ok=True)
    write_state(training_state(cycle), read_state(training_state(prev.prev)))
    vectors = read_vectors(product_vectors(prev.prev))
    write_vectors(product_vectors(cycle), vectors.ids, vectors.vectors)


def validate(params: Params, cycle: str) -> None:
    """Write the cycle's metrics, whether to stop among them; say and log how it did."""
    before = read_json(model_metrics(params.cycles[cycle].prev))
    held_out = read_held_out("val")
    percentiles = {model: held_out.percentiles(held_out.scores(model)) for model in ("base", cycle)}
    score, base = float(percentiles[cycle].mean()), float(percentiles["base"].mean())
    history = [*before["history"], score]
    since_best = len(history) - 1 - history.index(max(history))
    stopped = before["stopped"] or since_best >= params.distill.patience
    content = {"validation": {"mean_percentile": score}, "history": history, "stopped": stopped}
    write_json(model_metrics(cycle), content)
    log_curve("validation_percentile", history)
    log_figure(percentile_figure(cycle, percentiles), "winner_percentiles.png")
    say(f"cycle {cycle}: winner's mean percentile {score:.3f} on validation, base {base:.3f}")


def write_and_log(cycle: str, curves: Curves) -> None:
    """The curves, for DVC and for MLflow."""
    write_curves(
        f"distill_{cycle}",
        {name: values for name, values in curves.items() if name != NOT_REPEATABLE},
    )
    for name, values in curves.items():
        log_curve(name, values)


def digest_of(inputs: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Of all that training depends on, this project's code included."""
    sources = [*CODE.glob("pipelines/*.py"), *CODE.glob("retrieval/*.py")]
    code = {path.name: sha256_file(path) for path in sources}
    text = json.dumps([inputs, settings, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def lead(params: Params, cycle: str, team: Team) -> None:
    """Train with the team, and write and log all there is to write."""
    prev, stage = params.cycles[cycle], f"distill@{cycle}"
    inputs = (
        rankings_file(cycle), PRODUCTS_FILE, PERSONAS_FILE, CAPTION_VECTORS, PERSONA_VECTORS,
        TOURNAMENTS_FILE, training_state(prev.prev), prev.prev_model / WEIGHTS,
    )  # fmt: skip
    digests = {str(path): sha256_file(path) for path in inputs}
    settings = {
        "seed": params.seed,
        "distill": resolve_recipe(params.distill).model_dump(),
        "compute": params.compute.model_dump(),
    }
    digest = digest_of(digests, {**settings, "cycles": list(params.cycles), "size": team.size})
    with stage_lock(stage), Checkpoint(stage, digest) as checkpoint:
        parent = parent_run("distill", read_parent_run(prev.prev))
        with training_run(stage, settings, digests, parent) as run:
            if read_json(model_metrics(prev.prev))["stopped"]:
                pass_through(params, cycle)
                curves: Curves = {name: [] for name in CURVES}
            else:
                training = train(params, cycle, team, checkpoint)
                leave(training, cycle)
                curves = training.curves
            write_and_log(cycle, curves)
            validate(params, cycle)
            write_run(cycle, run, parent)
        checkpoint.remove()


def main(cycle: str) -> None:
    """Distil one cycle, validate it, and say whether to stop; torchrun's other processes help."""
    params = load_params()
    with join_team(resolve_device(params.compute.device)) as team:
        make_repeatable(derive_seed(params.seed, f"distill@{cycle}"), params.compute.threads)
        if team.leads:
            lead(params, cycle, team)
        elif not read_json(model_metrics(params.cycles[cycle].prev))["stopped"]:
            train(params, cycle, team, checkpoint=None)


if __name__ == "__main__":
    main(cycle_argument(__doc__))
