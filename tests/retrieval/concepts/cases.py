"""What the tests of concepts share: photos made up, and concepts learned from them."""

from dataclasses import replace

import numpy as np

from retrieval.concepts.concept import new_concept
from retrieval.concepts.learning import Settings, learn

SETTINGS = Settings(steps=12, learning_rate=0.01, l2=0.35)


def photos_of(encoder, count=3, seed=0, spread=0.3):
    """Stand-ins for photos of one thing: unit vectors near each other."""
    rng = np.random.default_rng(seed)
    center = rng.standard_normal(encoder.width)
    rows = center + spread * rng.standard_normal((count, encoder.width))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def learned(tower, name="my mug", noun="mug", **changes):
    """A concept and its losses; the photos follow from the name."""
    start = new_concept(name, noun, "sks", tower.width)
    photos = photos_of(tower.encoder, seed=len(name))
    return learn(tower, start, photos, replace(SETTINGS, **changes))
