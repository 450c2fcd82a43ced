"""The pictures that the trained part of an image tower is shown, each also mirrored.

The frozen trunk has seen them once: its features are computed in eval mode and fp32, and kept in
var/features/ under a digest of the trunk and the pictures. So the base model's head and every cycle
after it, of this run and of others, go by the same file.
N products, U of them, S picture side, F width of the features.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file

from pipelines.run.paths import PRODUCTS_FILE
from pipelines.run.stage import progress
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
    """What the frozen part made of the pictures and of their mirror images."""

    values_2NF: torch.Tensor
    device: str

    def shown(self, rows_U: torch.Tensor, mirrored_U: torch.Tensor) -> torch.Tensor:
        """Features (U, F)."""
        return self.values_2NF[mirrored_U, rows_U].to(self.device)


def picture_files(products: Products) -> list[Path]:
    """Where their pictures are."""
    return [PRODUCTS_FILE.parent / product["image"] for product in products]


def read_pixels(encoder: Encoder, products: Products) -> torch.Tensor:
    """The pixels (N, 3, S, S), uint8, of all products."""
    return encoder.read_pixels(picture_files(products))


def frozen_features(
    encoder: Encoder, tower: SplitTower, products: Products, read: Callable[[slice], torch.Tensor]
) -> torch.Tensor:
    """The trunk's features (2, N, F) of all products, from var/features/ where they are known.

    Args:
        encoder: The model.
        tower: Its image tower, split.
        products: All of them, in the order of the features.
        read: The pixels (N, 3, S, S) of a slice of them, a batch after the other; it is called
            where the features are not known.
    """
    path = _file(encoder, tower, products)
    if path.exists():
        return load_file(path)["features"]
    starts = range(0, len(products), encoder.batch)
    batches = [
        mirrored_features(encoder, tower, read(slice(start, start + encoder.batch))).cpu()
        for start in progress(starts, "pictures")
    ]
    features_2NF = torch.cat(batches, dim=1)
    keep_features(encoder, tower, products, features_2NF)
    return features_2NF


def keep_features(
    encoder: Encoder, tower: SplitTower, products: Products, features_2NF: torch.Tensor
) -> None:
    """Let `frozen_features` know these, of the same tower and products."""
    with atomic_file(_file(encoder, tower, products)) as temporary:
        save_file({"features": features_2NF.contiguous()}, temporary)
    known = sorted(FEATURES.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    for old in known[:-KEPT]:
        old.unlink(missing_ok=True)


def _file(encoder: Encoder, tower: SplitTower, products: Products) -> Path:
    visual = encoder.model.visual
    digest = hashlib.sha256()
    pictures = [[product["product_id"], product["image_sha256"]] for product in products]
    plain = [encoder.device, torch.__version__, visual.preprocess_cfg, pictures]
    digest.update(json.dumps(plain, default=str).encode())
    head = {id(parameter) for parameter in tower.head_parameters}
    for name, tensor in (*visual.named_parameters(), *visual.named_buffers()):
        if id(tensor) not in head:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return FEATURES / f"{digest.hexdigest()}.safetensors"
