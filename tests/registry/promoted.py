"""Three versions in a registry of their own, to be promoted and rolled back."""

from pathlib import Path

import numpy as np

from registry.bundle import Bundle
from registry.catalogue_index import MODELS
from registry.history import read_history
from registry.versions import list_versions
from retrieval.index.store import LiteStore, collection_key
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from retrieval.storage.vectors import write_vectors

NAME = "kindred"
STORE = LiteStore(Path("var/milvus"))


class FakeEncoder:
    """Finds the right product for everybody, or with weights that say so, for nobody."""

    def __init__(self, model):
        self.shift = 3 if "bad" in (model / "weights").read_text() else 0

    def encode_texts(self, texts):
        """Personas end in their winner's number; captions are all alike, any vector finds them."""
        ends = [text.split()[-1] for text in texts]
        numbers = np.array([int(end) if end.isdigit() else 2 for end in ends])
        return np.eye(8, dtype=np.float32)[(numbers + self.shift) % 6]


def without_models(patch):
    """No model is loaded: its weights say what it finds."""
    patch.setattr(
        Bundle, "load_encoder", lambda self, device="cpu": FakeEncoder(self.folder / "model")
    )


def write_text_vectors(sources):
    """What the pipeline leaves of the model's reading of personas and captions."""
    encoder = FakeEncoder(sources.model)
    people = read_rows(sources.personas, PERSONAS)
    read = encoder.encode_texts([one["text"] for one in people])
    write_vectors(sources.persona_vectors, [one["persona_id"] for one in people], read)
    products = read_rows(sources.products, PRODUCTS)
    read = encoder.encode_texts([one["caption"] for one in products])
    write_vectors(sources.caption_vectors, [one["product_id"] for one in products], read)


def digest_of(number):
    return next(v.digest for v in list_versions(NAME) if v.number == number)


def keys_of(*numbers):
    return {collection_key(digest_of(number), model) for number in numbers for model in MODELS}


def outcomes():
    return [(c.action, c.before, c.after, c.outcome) for c in read_history(NAME)]


def move_by_hand(number):
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", str(number))
