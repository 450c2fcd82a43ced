"""Concepts learned from photos: many at once, and of each only what its update changes.

One padded tensor program for all concepts (arXiv 2506.10182, made exact in `text_layers`): what
precedes the last layer's value is computed once for each distinct prompt; a step computes the
update's share of the attention's output, the rest of the layer for the rows that are pooled, and
gradients for A and B alone. C concepts, P prompts each at most, T prompts in all, d width of the
tower, D of the embedding, R rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.concept import Concept, generator
from retrieval.text_tower import Prefix, TextTower, Updates, shift

PROMPTS = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "{}",
    "here is {}",
    "this is {}",
    "one can see {} here",
    "a close look at {}",
    "{} in a photo",
    "a good photo of {}",
    "a snapshot that shows {}",
    "look, {}",
    "a view of {}",
)
