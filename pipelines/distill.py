"""Stage `distill@<cycle>`: the teacher's preferences go into the image tower.

The cycle's rankings, the previous model, the validation tournaments
    -> models/student/<cycle>/, data/vectors/<cycle>/products.parquet, metrics/<cycle>.json,
       reports/curves/distill_<cycle>.csv, data/runs/<cycle>.json

The text tower stays frozen. First the image tower's head alone (pipelines/head.py),
then the whole image tower is trained with the Bradley-Terry loss on all pairs of
each group (arXiv 2510.12014) and the choice of each picture's own caption among all, which
keeps literal search intact.

Run:  dvc repro distill@c1
Tiny: python -m pipelines.distill c1, after distill.steps: 1 in params.yaml
"""

import shutil

import torch
import torch.nn.functional as F

from pipelines.artifacts import write_curves, write_run
from pipelines.head import fit_head
from pipelines.held_out import read_held_out
from pipelines.params import Params, load_params
from pipelines.paths import (
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    model_metrics,
    product_vectors,
    rankings_file,
    student_model,
)
from pipelines.preferences import Curves, Preferences
from pipelines.stage import cycle_argument, derive_seed, say, stage_lock
from pipelines.training import Loop, train
from registry.tracking import log_curve, training_run
from retrieval.compute import make_repeatable, resolve_device, resolve_precision
from retrieval.encoder import Encoder, load_encoder, save_encoder
from retrieval.files import atomic_folder, read_json, sha256_file, write_json
from retrieval.schema import PRODUCTS, RANKINGS, read_rows
from retrieval.vectors import read_vectors, write_vectors


def train_on_rankings(
    encoder: Encoder, preferences: Preferences, params: Params, cycle: str
) -> Curves:
    """Train the whole image tower; returns the curves of both losses."""
    settings = params.distill
    seed = derive_seed(params.seed, "distill", cycle)
    curves: Curves = {"preference": [], "retention": []}
    if not settings.steps:
        return curves
    plan = preferences.plan(settings.steps, settings.batch_groups, seed)

    def loss_of_step(step: int) -> torch.Tensor:
        batch = preferences.rows(plan[step])
        pictures = encoder.normalised(preferences.pixels(batch))
        images_UD = F.normalize(encoder.model.visual(pictures).float(), dim=-1)
        scale = encoder.model.logit_scale.exp()
        preference, retention = preferences.losses(images_UD, batch, settings.temperature, scale)
        curves["preference"].append(preference.item())
        curves["retention"].append(retention.item())
        return preference + settings.retention_weight * retention

    parameters = list(encoder.model.visual.parameters())
    for parameter in parameters:
        parameter.requires_grad = True
    # In eval mode: groups are picked by score, so their batch statistics are not the catalogue's.
    encoder.model.eval()
    loop = Loop(
        steps=len(plan),
        learning_rate=settings.learning_rate,
        grad_clip=settings.grad_clip,
        precision=resolve_precision(params.compute.precision, encoder.device),
        device=encoder.device,
        label=f"distill {cycle}",
    )
    train(parameters, loss_of_step, loop)
    encoder.model.requires_grad_(requires_grad=False)
    return curves


def pass_through(params: Params, cycle: str) -> Curves:
    """After an early stop: the previous model is this cycle's."""
    prev = params.cycles[cycle]
    with atomic_folder(student_model(cycle)) as temporary:
        shutil.copytree(prev.prev_model, temporary, dirs_exist_ok=True)
    vectors = read_vectors(product_vectors(prev.prev))
    write_vectors(product_vectors(cycle), vectors.ids, vectors.vectors)
    return {"preference": [], "retention": []}


def distill(params: Params, cycle: str) -> Curves:
    """Train, save the model, embed the catalogue with it."""
    device = resolve_device(params.compute.device)
    encoder = load_encoder(params.cycles[cycle].prev_model, device)
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    rankings = read_rows(rankings_file(cycle), RANKINGS)
    preferences = Preferences(encoder, rankings, products)
    seed = derive_seed(params.seed, "head", cycle)
    head = fit_head(encoder, preferences, params.distill, seed)
    tower = train_on_rankings(encoder, preferences, params, cycle)
    save_encoder(encoder, student_model(cycle))
    pixels = encoder.read_pixels([PRODUCTS_FILE.parent / product["image"] for product in products])
    ids = [product["product_id"] for product in products]
    write_vectors(product_vectors(cycle), ids, encoder.encode_pixels(pixels))
    return {name: head[name] + tower[name] for name in head}


def main(cycle: str) -> None:
    """Distil one cycle, validate it, and say whether to stop."""
    params = load_params()
    prev = params.cycles[cycle].prev
    stage = f"distill@{cycle}"
    inputs = (rankings_file(cycle), PRODUCTS_FILE, product_vectors(prev), TOURNAMENTS_FILE)
    digests = {str(path): sha256_file(path) for path in inputs}
    settings = {"distill": params.distill.model_dump(), "compute": params.compute.model_dump()}
    with stage_lock(stage), training_run(stage, {"seed": params.seed, **settings}, digests) as run:
        make_repeatable(derive_seed(params.seed, stage), params.compute.threads)
        before = read_json(model_metrics(prev))
        curves = pass_through(params, cycle) if before["stopped"] else distill(params, cycle)
        held_out = read_held_out("val")
        score = float(held_out.percentiles(held_out.scores(cycle)).mean())
        history = [*before["history"], score]
        since_best = len(history) - 1 - history.index(max(history))
        stopped = before["stopped"] or since_best >= params.distill.patience
        validation = {"mean_percentile": score}
        write_json(
            model_metrics(cycle), {"validation": validation, "history": history, "stopped": stopped}
        )
        write_curves(f"distill_{cycle}", curves)
        for name, values in curves.items():
            log_curve(name, values)
        log_curve("validation_percentile", history)
        write_run(cycle, run)
        base = float(held_out.percentiles(held_out.scores("base")).mean())
        say(f"cycle {cycle}: winner's mean percentile {score:.3f} on validation, base {base:.3f}")


if __name__ == "__main__":
    main(cycle_argument(__doc__))
