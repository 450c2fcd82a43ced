"""A folder in which `distill` can run: a tiny model, pictures in which a persona's taste shows."""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
import yaml
from PIL import Image

from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    cycle_metrics,
    cycle_model,
    cycle_state,
    product_vectors,
    rankings_file,
)
from pipelines.training.state import write_state
from retrieval.encoder import Encoder, create_encoder, save_encoder
from retrieval.storage.files import write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, RANKINGS, TOURNAMENTS, write_rows
from retrieval.storage.vectors import write_vectors

ROOT = Path(__file__).parents[2]
PRODUCT_COUNT, PERSONA_COUNT, GROUPS, WIDTH = 48, 12, 60, 24
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 1}
CONFIG = {"embed_dim": WIDTH, "custom_text": True, "vision_cfg": VISION, "text_cfg": TEXT}
QUICK = {"epochs": 1, "batch_groups": 16, "learning_rate": 0.01, "max_caption_drop": 1.0}


def _unit(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def tiny_encoder(folder: Path) -> Encoder:
    """open_clip's vision transformer with two blocks; nothing in it is at zero."""
    configs = folder / "model_configs"
    configs.mkdir()
    (configs / "tiny-distill.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(configs)
    torch.manual_seed(0)
    weights = configs / "tiny-distill.pt"
    torch.save(open_clip.create_model("tiny-distill").state_dict(), weights)
    return create_encoder("tiny-distill", str(weights))


def set_distill(folder: Path, changes: dict, cycles: int = 2, seed: int = 0) -> None:
    """Write the project's params.yaml with a few changes."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["seed"] = seed
    params["distill"].update(QUICK | changes)
    params["compute"] = {"device": "cpu", "precision": "fp32", "threads": 1}
    params["cycles"] = {f"c{number}": f"c{number - 1}" for number in range(1, cycles + 1)}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def make_distill_project(folder: Path) -> Path:
    """Everything that distill@c1 and distill@c2 read, relative to the working directory."""
    set_distill(folder, {})
    encoder = tiny_encoder(folder)
    rng = np.random.default_rng(0)
    ids = [f"p{number:02d}" for number in range(PRODUCT_COUNT)]
    split = ["train"] * 36 + ["val"] * 12
    shades = rng.uniform(0, 1, PRODUCT_COUNT)
    (PRODUCTS_FILE.parent / "images").mkdir(parents=True)
    rows = []
    for number, product_id in enumerate(ids):
        pixels = (shades[number] * 200 + 55 * rng.random((32, 32, 3))).astype(np.uint8)
        image = f"images/{product_id}.png"
        Image.fromarray(pixels).save(PRODUCTS_FILE.parent / image)
        rows.append(
            dict.fromkeys(PRODUCTS.names, "")
            | {"product_id": product_id, "caption": f"c{number % 9}", "image": image}
            | {"image_sha256": f"{number:064d}", "split": split[number], "price": 1.0}
            | {"attributes": {}}
        )
    write_rows(PRODUCTS_FILE, rows, PRODUCTS)
    people = [f"u{number}" for number in range(PERSONA_COUNT)]
    empty = {field.name: {} if "map" in str(field.type) else "" for field in PERSONAS.schema}
    personas = [
        empty
        | {"persona_id": who, "text": who, "split": "train" if n < 8 else "val"}
        | {"facets": {"interest": "a" if n < 10 else "nobody's in training"}}
        for n, who in enumerate(people)
    ]
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    write_vectors(PERSONA_VECTORS, people, np.repeat(_unit(1, 2), PERSONA_COUNT, axis=0))
    write_vectors(CAPTION_VECTORS, ids, _unit(9, 1)[np.arange(PRODUCT_COUNT) % 9])
    _write_labels(ids, people, shades, rng)
    images = [Image.open(PRODUCTS_FILE.parent / row["image"]) for row in rows]
    write_vectors(product_vectors(BASE), ids, encoder.encode_images(images))
    save_encoder(encoder, cycle_model(BASE))
    write_state(cycle_state(BASE), {})
    write_json(cycle_metrics(BASE), {"history": [], "stopped": False, "validation": {}})
    return folder


def _write_labels(ids: list, people: list, shades: np.ndarray, rng: np.random.Generator) -> None:
    """Everybody likes bright pictures."""
    rankings = []
    for number in range(2 * GROUPS):
        shown = rng.permutation(36)[:5]
        order = sorted(shown, key=lambda row: -shades[row])
        group_id = f"c{1 + number // GROUPS}-{number % GROUPS:05d}"
        row = dict.fromkeys(RANKINGS.names, "") | {"group_id": group_id}
        row |= {"persona_id": people[number % 8], "presented": [ids[one] for one in shown]}
        rankings.append(row | {"ranking": [ids[one] for one in order]})
    write_rows(rankings_file("c1"), rankings[:GROUPS], RANKINGS)
    write_rows(rankings_file("c2"), rankings, RANKINGS)
    winner = ids[36 + int(np.argmax(shades[36:]))]
    blank = {"string": "", "int64": 0, "double": 1.0}
    held = [
        {field.name: blank.get(str(field.type), []) for field in TOURNAMENTS.schema}
        | {"persona_id": who, "split": "val", "winner": winner}
        for who in people[8:]
    ]
    write_rows(TOURNAMENTS_FILE, held, TOURNAMENTS)
