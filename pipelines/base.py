"""Stage `base`: the embedding model that distillation starts from.

data/catalog/, data/personas.parquet
    -> data/vectors/texts/ (captions, personas, paraphrases), reports/curves/base.csv; and what each
       cycle leaves, as c0: models/cycles/c0/, data/vectors/cycles/c0/, metrics/cycles/c0.json,
       data/labels/c0/ (no rankings yet), data/runs/c0.json

`base.pretrained: null` trains the image tower against the frozen MiniLM text tower on the literal
captions of the training products (pipelines/training/caption_training.py), those of split `base`
among them: it may know kinds of product that distillation never sees. `imagenet` starts from an
image tower that has seen photographs: its trunk stays as it is, or all of it but the last
`base.finetune_stages`; the head learns from the captions, and a residual keeps what no caption says
(retrieval/detail.py). An open_clip tag or a file of weights is loaded as it is.

Run:  dvc repro base
Tiny: python -m pipelines.base, after base.epochs: 1 in params.yaml
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipelines.run.artifacts import write_curves, write_run
from pipelines.run.params import Params, load_params
from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    PARAPHRASE_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    cycle_metrics,
    cycle_model,
    cycle_state,
    product_vectors,
    rankings_file,
)
from pipelines.run.stage import derive_seed, run_stage, say, stage_lock
from pipelines.training.caption_training import (
    Captioned,
    pair_with_captions,
    train_head,
    train_stages,
    train_trunk,
)
from pipelines.training.detail import add_detail
from pipelines.training.features import (
    frozen_features,
    keep_features,
    picture_files,
    read_pixels,
)
from pipelines.training.image_tower import SplitTower, split_stages, split_tower
from pipelines.training.state import write_state
from registry.tracking import log_curve, training_run
from retrieval.captions import caption_ranks
from retrieval.compute import make_repeatable, resolve_device
from retrieval.encoder import IMAGENET, Encoder, create_encoder, save_encoder
from retrieval.metrics import recall_at
from retrieval.storage.files import sha256_file, write_json
from retrieval.storage.schema import (
    BASE_SPLIT,
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    PersonaRow,
    ProductRow,
    read_rows,
    write_rows,
)
from retrieval.storage.vectors import read_vectors, write_vectors

TRAINED_ON = ("train", BASE_SPLIT)

Floats = NDArray[np.float32]


class Made(NamedTuple):
    """The base model, and what came of making it. N products, D embedding width."""

    encoder: Encoder
    images_ND: Floats  # unit vectors of all products' pictures
    losses: dict[str, list[float]]  # by part; none where weights are given


def train_on_captions(
    encoder: Encoder, texts_ND: Floats, products: Sequence[ProductRow], params: Params
) -> Made:
    """Train what is untrained on the captions of the training products.

    Args:
        encoder: It is changed in place.
        texts_ND: Unit vectors of the captions of all products.
        products: Rows of the products table.
        params: All of them.
    """
    pretrained = params.base.pretrained
    if pretrained not in (None, IMAGENET):
        images_ND = encoder.encode_files(picture_files(products))
        return Made(encoder, images_ND, {"choice": [], "alignment": []})
    rows = [at for at, product in enumerate(products) if product["split"] in TRAINED_ON]
    vectors = torch.from_numpy(texts_ND[rows]).to(encoder.device)
    captioned = pair_with_captions([products[row]["caption"] for row in rows], vectors)
    if pretrained == IMAGENET:
        return _train_on_photographs(encoder, captioned, rows, products, params)
    pixels = read_pixels(encoder, products)
    choice = train_trunk(encoder, pixels[rows], captioned, params)
    tower = split_tower(encoder.model.visual)
    features_2NF = frozen_features(encoder, tower, products, lambda part: pixels[part])
    features_2NF = features_2NF[:, rows].to(encoder.device)
    alignment = train_head(encoder, captioned, features_2NF, params)
    losses = {"choice": choice, "alignment": alignment}
    return Made(encoder, encoder.encode_pixels(pixels), losses)


def _train_on_photographs(
    encoder: Encoder,
    captioned: Captioned,
    rows: Sequence[int],
    products: Sequence[ProductRow],
    params: Params,
) -> Made:
    """Each picture is read once, and none is kept: they may be too many and too large for that."""
    tower = split_tower(encoder.model.visual)

    def frozen(part: SplitTower) -> torch.Tensor:
        return frozen_features(
            encoder, part, products, lambda some: read_pixels(encoder, products[some])
        ).to(encoder.device)

    if params.base.finetune_stages:
        features_2NF, alignment = _finetune(encoder, captioned, rows, frozen, params)
    else:
        features_2NF = frozen(tower)
        alignment = train_head(encoder, captioned, features_2NF[:, rows], params)
    if params.base.detail:
        texts = [captioned.captions_CD.cpu(), _training_texts()]
        encoder = add_detail(encoder, features_2NF[0, rows], texts, params.base.detail)
        with torch.no_grad():
            features_2NF = encoder.model.visual.trunk.combine(features_2NF)
        tower = split_tower(encoder.model.visual)
    if params.base.detail or params.base.finetune_stages:
        keep_features(encoder, tower, products, features_2NF.cpu())  # what distillation goes by
    with torch.no_grad():
        images_ND = F.normalize(tower.head(features_2NF[0]).float(), dim=-1)
    return Made(encoder, images_ND.cpu().numpy(), {"choice": [], "alignment": alignment})


def _finetune(
    encoder: Encoder,
    captioned: Captioned,
    rows: Sequence[int],
    frozen: Callable[[SplitTower], torch.Tensor],
    params: Params,
) -> tuple[torch.Tensor, list[float]]:
    """Train the head, then the last stages with it; the trunk's new features (2, N, F), losses."""
    tower, stages = split_stages(encoder.model.visual, params.base.finetune_stages)
    maps_2NCHW = frozen(tower)

    def features(maps_2NCHW: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            views = [
                torch.cat([stages(part) for part in torch.split(view, encoder.batch)])
                for view in maps_2NCHW
            ]
        return torch.stack(views)

    shown_2NCHW = maps_2NCHW[:, rows]
    losses = train_head(encoder, captioned, features(shown_2NCHW), params)
    losses += train_stages(encoder, tower, captioned, shown_2NCHW, params)
    return features(maps_2NCHW), losses


def _training_texts() -> torch.Tensor:
    """Vectors (P, D) of the training personas' texts."""
    personas = read_rows(PERSONAS_FILE, PERSONAS)
    ids = [row["persona_id"] for row in personas if row["split"] == "train"]
    return torch.from_numpy(read_vectors(PERSONA_VECTORS).rows(ids))


def embed_personas(encoder: Encoder, personas: Sequence[PersonaRow]) -> None:
    """Write the vectors of the texts, and of the paraphrases that held-out personas have."""
    texts = {row["persona_id"]: row["text"] for row in personas}
    held_out = [row for row in personas if row["split"] != "train"]
    paraphrases = {row["persona_id"]: row["paraphrase"] for row in held_out if row["paraphrase"]}
    texts_PD = encoder.encode_texts(list(texts.values()))
    paraphrases_PD = encoder.encode_texts(list(paraphrases.values()))
    write_vectors(PERSONA_VECTORS, list(texts), texts_PD)
    write_vectors(PARAPHRASE_VECTORS, list(paraphrases), paraphrases_PD)


def make_encoder(params: Params) -> Encoder:
    """The model of section `base`, untrained where it has no weights.

    Raises:
        SystemExit: There is no such model, or it cannot be had.
    """
    device = resolve_device(params.compute.device)
    try:
        return create_encoder(params.base.model, params.base.pretrained, device)
    except (ValueError, FileNotFoundError) as error:
        msg = f"base.model: {error}"
        raise SystemExit(msg) from error


def main() -> None:
    """Read, train or load, embed everything once, write."""
    params = load_params()
    inputs = {str(path): sha256_file(path) for path in (PRODUCTS_FILE, PERSONAS_FILE)}
    settings = {"base": params.base.model_dump(), "compute": params.compute.model_dump()}
    with stage_lock("base"), training_run("base", {"seed": params.seed, **settings}, inputs) as run:
        make_repeatable(derive_seed(params.seed, "base"), params.compute.threads)
        products, personas = read_rows(PRODUCTS_FILE, PRODUCTS), read_rows(PERSONAS_FILE, PERSONAS)
        encoder = make_encoder(params)
        texts_ND = encoder.encode_texts([product["caption"] for product in products])
        embed_personas(encoder, personas)
        made = train_on_captions(encoder, texts_ND, products, params)
        images_ND, losses = made.images_ND, made.losses
        ids = [product["product_id"] for product in products]
        write_vectors(product_vectors(BASE), ids, images_ND)
        write_vectors(CAPTION_VECTORS, ids, texts_ND)
        save_encoder(made.encoder, cycle_model(BASE))
        val = [row for row, product in enumerate(products) if product["split"] == "val"]
        captions = [products[row]["caption"] for row in val]
        recall = recall_at(caption_ranks(texts_ND[val], images_ND[val], captions), 10)
        validation = {"caption_recall@10": recall}
        write_json(cycle_metrics(BASE), {"validation": validation, "history": [], "stopped": False})
        write_curves("base", {"loss": losses["choice"] or losses["alignment"]})
        write_rows(rankings_file(BASE), [], RANKINGS)
        write_state(cycle_state(BASE), {})
        for part, values in losses.items():
            log_curve(part, values)
        write_run(BASE, run)
        say(f"base model: caption recall@10 on validation products {recall:.3f}")


if __name__ == "__main__":
    run_stage(main)
