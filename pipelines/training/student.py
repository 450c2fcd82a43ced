"""The model in training: which part of its image tower learns, and what becomes of it at the end.

The rest is frozen and its features are computed once. All is in eval mode: groups are picked by
score, so their batch statistics are not the catalogue's, and BatchNorm keeps the base model's. The
last projection alone distorts the features least (arXiv 2202.10054).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipelines.held_out.choice import Restraint
from pipelines.run.params import Distill
from pipelines.run.paths import CAPTION_VECTORS
from pipelines.training.embedding_map import EmbeddingMap, last_projection, spanned
from pipelines.training.features import (
    Features,
    Pictures,
    Pixels,
    frozen_features,
    read_pixels,
)
from pipelines.training.image_tower import SplitTower, split_tower
from retrieval.encoder import Encoder
from retrieval.storage.schema import ProductRow
from retrieval.storage.vectors import read_vectors

BATCH = 256
Tensors = Mapping[str, torch.Tensor]


class Student:
    """An encoder whose image tower learns in part. U pictures, N products, D embedding width."""

    def __init__(
        self,
        encoder: Encoder,
        settings: Distill,
        products: Sequence[ProductRow],
        base: Tensors,
        texts_TD: NDArray[np.float32],
    ) -> None:
        """Freeze, split and compute what is frozen.

        Args:
            encoder: The model of the previous cycle; it is changed in place.
            settings: What is trained.
            products: Rows of the products table.
            base: Tensors in which the base model's image tower differs from that model's; training
                goes on from the base model and the state of the last cycle.
            texts_TD: Vectors of the texts that train: what a map adds is held to them.

        Raises:
            ValueError: The image tower has no such part; the message names it.
        """
        self.encoder = encoder
        encoder.model.eval().requires_grad_(requires_grad=False)
        visual = encoder.model.visual
        visual.load_state_dict(dict(base), strict=False)
        self._base = {name: tensor.clone() for name, tensor in visual.state_dict().items()}
        self._map: EmbeddingMap | None = None
        self._tower = self._split(settings)
        self.pictures = self._pictures(settings, products)
        if settings.train == "map":
            mean_D = torch.from_numpy(texts_TD.mean(axis=0))
            self._map = EmbeddingMap(mean_D, settings.rank, encoder.device)
            self._tower = SplitTower(visual, self._map, [], list(self._map.parameters()))
            captions_ND = read_vectors(CAPTION_VECTORS).rows(
                [row["product_id"] for row in products]
            )
            self._captions_ND = torch.from_numpy(captions_ND).to(encoder.device)
        trained = {id(parameter) for parameter in self._tower.head_parameters}
        holder: nn.Module = self._map or visual
        self.trained: dict[str, nn.Parameter] = {
            name: parameter
            for name, parameter in holder.named_parameters()
            if id(parameter) in trained
        }
        for parameter in self.trained.values():
            parameter.requires_grad = True
        self._products = len(products)
        self._texts_TD = texts_TD

    def _split(self, settings: Distill) -> SplitTower:
        visual = self.encoder.model.visual
        if settings.train == "whole":
            return SplitTower(lambda pixels: pixels, visual, [], list(visual.parameters()))
        if settings.train == "map":
            last_projection(visual)  # refuses a tower that could not take the map in
        return split_tower(visual)

    def _pictures(self, settings: Distill, products: Sequence[ProductRow]) -> Pictures:
        def read(rows: slice) -> torch.Tensor:
            return read_pixels(self.encoder, products[rows])

        if settings.train == "whole":
            return Pixels(self.encoder, read(slice(None)))
        entering = frozen_features(self.encoder, self._tower, products, read)
        if settings.train == "map":
            with torch.no_grad():
                vectors = self._tower.head(entering.to(self.encoder.device)).float()
            entering = F.normalize(vectors, dim=-1)
        return Features(entering, self.encoder.device)

    def views(
        self, rows_U: torch.Tensor, mirrored_U: torch.Tensor, captions_U: torch.Tensor
    ) -> torch.Tensor:
        """Unit vectors (U, D) as `images`, but of the captions where `captions_U` is true.

        Only a map of the embedding space has those: captions meet pictures there.
        """
        images_UD = self.images(rows_U, mirrored_U)
        if self._map is None or not captions_U.any():
            return images_UD
        read_UD = self._map(self._captions_ND[rows_U])
        return torch.where(captions_U[:, None].to(images_UD.device), read_UD, images_UD)

    def images(self, rows_U: torch.Tensor, mirrored_U: torch.Tensor) -> torch.Tensor:
        """Unit vectors (U, D) of products, by row, or of their mirror images where 1."""
        return F.normalize(
            self._tower.head(self.pictures.shown(rows_U, mirrored_U)).float(), dim=-1
        )

    def vectors(self, rows: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Unit vectors (N, D) of all products, or of some, by row."""
        shown = torch.arange(self._products) if rows is None else torch.tensor(rows)
        with torch.no_grad():
            parts = [
                self.images(part, torch.zeros_like(part)).cpu().numpy()
                for part in torch.split(shown, BATCH)
            ]
        return np.concatenate(parts)

    @contextmanager
    def held_back(self, restraint: Restraint) -> Iterator[None]:
        """Within the context the student goes only so far from its base model.

        W = W_base + blend * (W_trained - W_base), a weight-space ensemble (WiSE-FT, arXiv
        2109.01903); a map is held to the span besides.
        """
        weights = {name: parameter.detach().clone() for name, parameter in self.trained.items()}
        with torch.no_grad():
            if self._map is not None:
                span_KD = self._span(restraint.span)
                self._map.map_up.copy_(self._map.held_back(span_KD, restraint.blend))
            else:
                for name, parameter in self.trained.items():
                    parameter.copy_(torch.lerp(self._base[name], parameter, restraint.blend))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    parameter.copy_(weights[name])

    def _span(self, share: float) -> torch.Tensor | None:
        if share == 1:
            return None
        return torch.from_numpy(spanned(self._texts_TD, share)).to(self.encoder.device)

    def fold(self) -> dict[str, torch.Tensor]:
        """Put a map into the tower's weights.

        Returns:
            The base model's tensors in the places where training changed something.
        """
        visual = self.encoder.model.visual
        if self._map is not None:
            self._map.fold(visual)
        return {
            name: self._base[name]
            for name, tensor in visual.state_dict().items()
            if not torch.equal(tensor, self._base[name])
        }
