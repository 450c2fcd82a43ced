"""Makes a golden bundle: tiny, complete, of random weights, and never changed once it is made.

python -m tests.registry.golden_bundle     # once a format: tests/registry/golden/format_<number>

It holds what the release of the day writes. A later release must open it, read a text with its
model and find what was found then (`test_golden.py`). Where a format gets new parts, add their
sources to `make_sources` and run this: the new folder lies beside the old ones, which stay.
"""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import open_clip
import torch
from PIL import Image
from transformers import AutoModel, BertConfig, BertTokenizerFast

from registry.bundle import FORMAT_VERSION, open_bundle
from registry.bundle_writer import BundleSources, write_bundle
from retrieval.concepts.adapter import save_concept
from retrieval.concepts.concept import new_concept
from retrieval.encoder import Encoder, create_encoder, save_encoder
from retrieval.index.exact import ExactIndex
from retrieval.storage.files import write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows, write_rows
from retrieval.storage.vectors import write_vectors
from retrieval.text.tower import TextTower
from tests.registry.conftest import _make_sources, product

GOLDEN = Path(__file__).parent / "golden"
COLOURS = ("red", "green", "blue", "black", "white", "yellow", "brown", "pink")
TEXT = "a yellow mug"
WORDS = ("a", "for", "uncle", "no", "mug", "dog", "zzq", *COLOURS, *":.0123456789")
TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
    "initializer_range": 0.5,  # words far from each other: what is found does not hang on rounding
}


def make_encoder(root: Path) -> Encoder:
    """A tiny image tower, and a tiny text tower that knows these words."""
    torch.manual_seed(0)
    text = root / "text"
    text.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (text / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    config = BertConfig(**TOWER, vocab_size=len(words))
    config.save_pretrained(text)
    BertTokenizerFast(str(text / "vocab.txt")).save_pretrained(text)
    AutoModel.from_config(config).save_pretrained(text)
    named = {"hf_model_name": str(text), "hf_tokenizer_name": str(text)}
    content = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8,
        },
        "text_cfg": {**named, "hf_proj_type": "linear", "context_length": 16},
    }  # fmt: skip
    (root / "configs").mkdir()
    (root / "configs/golden.json").write_text(json.dumps(content))
    open_clip.add_model_config(root / "configs")
    model = open_clip.create_model("golden", pretrained_text=False)
    torch.save(model.state_dict(), root / "weights.pt")
    return create_encoder("golden", str(root / "weights.pt"))


def make_sources(root: Path) -> BundleSources:
    """What the pipeline would leave: eight mugs, found by their captions."""
    sources = _make_sources(root / "made")
    encoder = make_encoder(root)
    shutil.rmtree(sources.model)
    save_encoder(encoder, sources.model)
    shutil.rmtree(sources.base_model)
    for bias in encoder.model.visual.parameters():
        if bias.ndim == 1:
            bias.data += 0.1  # the base model differs from the student in what reads pictures
    save_encoder(encoder, sources.base_model)
    rows = [
        {**product(number), "title": f"A {colour} mug", "caption": f"a {colour} mug"}
        for number, colour in enumerate(COLOURS)
    ]
    write_rows(sources.products, rows, PRODUCTS)
    pictures = [sources.products.parent / row["image"] for row in rows]
    for picture, colour in zip(pictures, COLOURS, strict=True):
        Image.new("RGB", (40, 20), colour).save(picture)
    ids = [row["product_id"] for row in rows]
    captions_ND = encoder.encode_texts([row["caption"] for row in rows])
    write_vectors(sources.student_vectors, ids, captions_ND)  # as if it had learned everything
    write_vectors(sources.base_vectors, ids, encoder.encode_files(pictures))
    write_vectors(sources.caption_vectors, ids, captions_ND)
    people = read_rows(sources.personas, PERSONAS)
    texts_ND = encoder.encode_texts([one["text"] for one in people])
    write_vectors(sources.persona_vectors, [one["persona_id"] for one in people], texts_ND)
    shutil.rmtree(sources.concepts)
    tower = TextTower(encoder)
    concept = new_concept("rex", "dog", "zzq", tower.width)
    taught = replace(concept, b_Rd=concept.a_Rd.flip(1), base=tower.digest)
    save_concept(taught, tower, sources.concepts / "rex")
    return sources


def answer(folder: Path, text: str = TEXT) -> dict:
    """What a bundle makes of a text: its vector, and the nearest products."""
    bundle = open_bundle(folder)
    query_D = bundle.load_encoder().encode_texts([text])[0]
    catalogue = bundle.read_vectors("student")
    found = ExactIndex(catalogue.ids, catalogue.vectors).search(query_D[None], 3)[0]
    return {
        "text": text,
        "vector": [round(float(value), 6) for value in query_D],
        "found": [id_ for id_, _ in found],
        "scores": [round(float(score), 6) for _, score in found],
        "digest": bundle.digest,
    }


def main() -> None:
    """Write the golden bundle of today's format, if there is none."""
    folder = GOLDEN / f"format_{FORMAT_VERSION}"
    if folder.exists():
        msg = f"{folder} is there: a golden bundle is made once, and never again"
        raise SystemExit(msg)
    with tempfile.TemporaryDirectory() as root:
        write_bundle(folder / "bundle", make_sources(Path(root)))
    write_json(folder / "answer.json", answer(folder / "bundle"))


if __name__ == "__main__":
    main()
