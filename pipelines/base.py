"""Stage `base`: the embedding model that distillation starts from.

data/catalog/, data/personas.parquet
    -> models/base/, data/vectors/base/ (products, captions, personas), metrics/base.json,
       reports/curves/base.csv, data/runs/base.json, data/labels/base/ (no rankings yet)

`base.pretrained: null` trains the image tower against the frozen MiniLM text tower on the literal
captions of the training products; an open_clip tag or a file of weights is loaded as it is.

Run:  dvc repro base
Tiny: python -m pipelines.base, after base.epochs: 1 in params.yaml
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pipelines.artifacts import write_curves, write_run
from pipelines.params import Params, load_params
from pipelines.paths import (
    BASE_MODEL,
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    model_metrics,
    product_vectors,
    rankings_file,
)
from pipelines.stage import derive_seed, say, stage_lock
from pipelines.training import Loop, train
from registry.tracking import log_curve, training_run
from retrieval.captions import caption_ranks, number_captions
from retrieval.compute import make_repeatable, resolve_device, resolve_precision
from retrieval.encoder import Encoder, create_encoder, save_encoder
from retrieval.files import sha256_file, write_json
from retrieval.losses import caption_choice
from retrieval.metrics import recall_at
from retrieval.schema import PERSONAS, PRODUCTS, RANKINGS, read_rows, write_rows
from retrieval.vectors import write_vectors

MAX_SCALE = 100.0  # of the contrast's inverse temperature, as CLIP caps it
GRAD_CLIP = 1.0


def mirror_half(pixels_B3SS: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror each picture with probability 1/2: no caption says left or right."""
    mirrored = torch.from_numpy(rng.random(len(pixels_B3SS)) < 0.5)
    return torch.where(mirrored[:, None, None, None], pixels_B3SS.flip(-1), pixels_B3SS)


def train_on_captions(
    encoder: Encoder, pixels: torch.Tensor, captions: list[str], params: Params
) -> list[float]:
    """Train the image tower and the contrast's temperature; returns the loss of every step."""
    rng = np.random.default_rng(derive_seed(params.seed, "base", "batches"))
    size = min(params.base.batch_size, len(captions))
    epochs = [rng.permutation(len(captions)) for _ in range(params.base.epochs)]
    batches = [
        torch.from_numpy(epoch[start : start + size])
        for epoch in epochs
        for start in range(0, len(captions) - size + 1, size)
    ]
    distinct, number_N = number_captions(captions)
    captions_CD = torch.from_numpy(encoder.encode_texts(distinct)).to(encoder.device)
    right_N = torch.from_numpy(number_N).to(encoder.device)
    model = encoder.model

    def loss_of_step(step: int) -> torch.Tensor:
        batch = batches[step]
        shown = encoder.normalised(mirror_half(pixels[batch], rng))
        images_BD = F.normalize(model.visual(shown).float(), dim=-1)
        scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
        return caption_choice(images_BD, captions_CD, right_N[batch], scale)

    parameters = [*model.visual.parameters(), model.logit_scale]
    for parameter in parameters:
        parameter.requires_grad_(requires_grad=True)
    model.visual.train()
    loop = Loop(
        steps=len(batches),
        learning_rate=params.base.learning_rate,
        grad_clip=GRAD_CLIP,
        precision=resolve_precision(params.compute.precision, encoder.device),
        device=encoder.device,
        label="base",
    )
    losses = train(parameters, loss_of_step, loop)
    model.eval().requires_grad_(requires_grad=False)
    return losses


def make_base(params: Params, products: list[dict[str, Any]]) -> tuple[Encoder, Any, list[float]]:
    """The base model, the pixels of all products, and the losses of its training."""
    encoder = create_encoder(
        params.base.model, params.base.pretrained, resolve_device(params.compute.device)
    )
    folder = PRODUCTS_FILE.parent
    pixels = encoder.read_pixels([folder / product["image"] for product in products])
    if params.base.pretrained is not None:
        return encoder, pixels, []
    train_rows = [row for row, product in enumerate(products) if product["split"] == "train"]
    captions = [products[row]["caption"] for row in train_rows]
    return encoder, pixels, train_on_captions(encoder, pixels[train_rows], captions, params)


def main() -> None:
    """Read, train or load, embed everything once, write."""
    params = load_params()
    inputs = {str(path): sha256_file(path) for path in (PRODUCTS_FILE, PERSONAS_FILE)}
    settings = {"base": params.base.model_dump(), "compute": params.compute.model_dump()}
    with stage_lock("base"), training_run("base", {"seed": params.seed, **settings}, inputs) as run:
        make_repeatable(derive_seed(params.seed, "base"), params.compute.threads)
        products, personas = read_rows(PRODUCTS_FILE, PRODUCTS), read_rows(PERSONAS_FILE, PERSONAS)
        encoder, pixels, losses = make_base(params, products)
        ids = [product["product_id"] for product in products]
        images_ND = encoder.encode_pixels(pixels)
        texts_ND = encoder.encode_texts([product["caption"] for product in products])
        personas_PD = encoder.encode_texts([persona["text"] for persona in personas])
        write_vectors(product_vectors("base"), ids, images_ND)
        write_vectors(CAPTION_VECTORS, ids, texts_ND)
        write_vectors(PERSONA_VECTORS, [row["persona_id"] for row in personas], personas_PD)
        save_encoder(encoder, BASE_MODEL)
        val = [row for row, product in enumerate(products) if product["split"] == "val"]
        captions = [products[row]["caption"] for row in val]
        recall = recall_at(caption_ranks(texts_ND[val], images_ND[val], captions), 10)
        validation = {"caption_recall@10": recall}
        write_json(
            model_metrics("base"), {"validation": validation, "history": [], "stopped": False}
        )
        write_curves("base", {"loss": losses})
        write_rows(rankings_file("base"), [], RANKINGS)
        log_curve("loss", losses)
        write_run("base", run)
        say(f"base model: caption recall@10 on validation products {recall:.3f}")


if __name__ == "__main__":
    main()
