"""The pictures that the trained part of an image tower is shown, each also mirrored.

What is frozen has seen them once: its features are computed in eval mode and fp32, and kept in
var/features/ under a digest of the model and the pictures, for the next cycle and the next run.
N products, U of them, S picture side.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file

from pipelines.run.paths import PRODUCTS_FILE
from pipelines.training.image_tower import SplitTower, mirrored_features
from retrieval.encoder import Encoder
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import ProductRow

FEATURES = Path("var/features")
KEPT = 4  # files; the oldest give way

Products = Sequence[ProductRow]


class Pictures(Protocol):
    """What enters the trained part."""

    def shown(self, rows_U: torch.Tensor, mirrored_U: torch.Tensor) -> torch.Tensor:
        """Of these products, mirrored where 1; on the model's device."""


@dataclass(frozen=True)
class Pixels:
    """Where the whole tower is trained: the pictures themselves."""

    encoder: Encoder
    pixels_N3SS: torch.Tensor  # uint8

    def shown(self, rows_U: torch.Tensor, mirrored_U: torch.Tensor) -> torch.Tensor:
        """Normalised pixels (U, 3, S, S)."""
        pixels_U3SS = self.pixels_N3SS[rows_U]
        flip = mirrored_U.bool()[:, None, None, None]
        return self.encoder.normalised(torch.where(flip, pixels_U3SS.flip(-1), pixels_U3SS))


@dataclass(frozen=True)
class Features:
    """What the frozen part made of the pictures and of their mirror images, (2, N, ...)."""

    values_2N: torch.Tensor
    device: str

    def shown(self, rows_U: torch.Tensor, mirrored_U: torch.Tensor) -> torch.Tensor:
        """Features (U, ...)."""
        return self.values_2N[mirrored_U, rows_U].to(self.device)


def read_pixels(encoder: Encoder, products: Products) -> Pixels:
    """Read all pictures."""
    folder = PRODUCTS_FILE.parent
    paths = [folder / product["image"] for product in products]
    return Pixels(encoder, encoder.read_pixels(paths))


def frozen_features(
    encoder: Encoder, tower: SplitTower, products: Products, split: str
) -> Features:
    """The features of all products, from var/features/ where they are known.

    Args:
        encoder: The model; nothing in it has been trained yet.
        tower: Its image tower, split.
        products: All of them, in the order of the features.
        split: Where it is split: two splits of a model have two names.
    """
    path = FEATURES / f"{_digest(encoder, products, split)}.safetensors"
    if path.exists():
        values_2N = load_file(path)["features"]
    else:
        pixels_N3SS = read_pixels(encoder, products).pixels_N3SS
        values_2N = mirrored_features(encoder, tower, pixels_N3SS).cpu()
        with atomic_file(path) as temporary:
            save_file({"features": values_2N.contiguous()}, temporary)
        known = sorted(FEATURES.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for old in known[:-KEPT]:
            old.unlink(missing_ok=True)
    return Features(values_2N, encoder.device)


def _digest(encoder: Encoder, products: Products, split: str) -> str:
    visual = encoder.model.visual
    digest = hashlib.sha256()
    pictures = [[product["product_id"], product["image_sha256"]] for product in products]
    plain = [split, encoder.device, torch.__version__, visual.preprocess_cfg, pictures]
    digest.update(json.dumps(plain, default=str).encode())
    for name, tensor in sorted(visual.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
