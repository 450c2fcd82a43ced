"""A version's sources with a model that reads: MiniLM, and an image tower that learned nothing."""

import json
import shutil
from dataclasses import asdict, replace

import torch
from PIL import Image

from registry.bundle_writer import BundleSources
from retrieval.concepts.adapter import save_concept
from retrieval.concepts.concept import new_concept
from retrieval.concepts.learning import Settings
from retrieval.concepts.teaching import Teaching
from retrieval.encoder import create_encoder, save_encoder
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from retrieval.storage.vectors import write_vectors
from retrieval.text.tower import TextTower

# Few steps, and no picture of two things: a test teaches in a moment.
TEACHING = Teaching(identifier="sks", settings=Settings(8, 0.01, 0.2), pairs=0)


def with_real_model(sources: BundleSources) -> BundleSources:
    """The same sources, with real weights, vectors and the concept `rex`."""
    torch.manual_seed(0)
    encoder = create_encoder("minilm-resnet10t", None)
    tower = TextTower(encoder)
    root = sources.products.parents[1]
    for folder in (sources.model, sources.base_model, sources.concepts):
        shutil.rmtree(folder)
    save_encoder(encoder, sources.model)
    shutil.copytree(sources.model, sources.base_model)
    concept = new_concept("rex", "dog", "sks", tower.width)
    save_concept(replace(concept, b_Rd=torch.ones_like(concept.b_Rd)), tower, root / "concepts/rex")
    (root / "concepts.json").write_text(json.dumps({"teaching": asdict(TEACHING)}))
    products = read_rows(sources.products, PRODUCTS)
    ids = [row["product_id"] for row in products]
    pictures = []
    for number, row in enumerate(products):  # each its own, or all vectors are one
        picture = Image.effect_noise((40, 20), 20 + 20 * number).convert("RGB")
        picture.save(sources.products.parent / row["image"])
        pictures.append(picture)
    write_vectors(sources.student_vectors, ids, encoder.encode_images(pictures))
    write_vectors(sources.base_vectors, ids, encoder.encode_images(pictures[::-1]))
    captions = encoder.encode_texts([row["caption"] for row in products])
    write_vectors(sources.caption_vectors, ids, captions)
    people = read_rows(sources.personas, PERSONAS)
    texts = encoder.encode_texts([row["text"] for row in people])
    write_vectors(sources.persona_vectors, [row["persona_id"] for row in people], texts)
    return sources
