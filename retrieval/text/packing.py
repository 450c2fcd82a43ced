"""Texts of different lengths in one matrix without padding.

Most of a text tower reads each token by itself, and is computed for tokens alone. Only the
attention sees texts. There those of like length stand together, padded to the longest of them.

B texts, P of them together, L positions, N tokens of all texts, d width, H heads, e = d / H.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F

VECTOR = 16  # numbers of fp32 that AVX-512 adds at once


@dataclass(frozen=True)
class Embedded:
    """What the first layer reads, and which positions may see which."""

    x_BLd: torch.Tensor
    lengths: Sequence[int]  # how many positions of each text matter, from the first one on
    causal: bool  # whether a position sees none after itself
    mask_BLL: torch.Tensor | None  # else each text's own, added to the attention's scores
    picked_B: torch.Tensor | None  # the position that is pooled; None: the mean of all


@dataclass(frozen=True)
class Together:
    """Texts that are padded to the longest of them."""

    texts: Sequence[int]
    place_PL: torch.Tensor  # of each position among the N tokens; padding repeats the first
    kept_PL: torch.Tensor  # what is no padding

    def hides(self, like: torch.Tensor) -> torch.Tensor | None:
        """What to add to an attention's scores, (P, 1, 1, L); None where there is no padding."""
        if bool(self.kept_PL.all()):
            return None
        hidden_PL = torch.zeros_like(self.kept_PL, dtype=like.dtype)
        hidden_PL.masked_fill_(~self.kept_PL, torch.finfo(like.dtype).min)
        return hidden_PL[:, None, None]


class Packing:
    """Where each text's tokens are, and their attention."""

    def __init__(self, embedded: Embedded) -> None:
        """Lay the texts out one after the other."""
        self.embedded = embedded
        lengths_B = torch.tensor(embedded.lengths)
        self._starts_B = lengths_B.cumsum(0) - lengths_B
        self.groups = [self.together(rows) for rows in alike(embedded.lengths)]
        self._masks = [self._mask(group) for group in self.groups]

    def together(self, texts: Sequence[int]) -> Together:
        """Some texts, padded to the longest of them."""
        lengths_P = torch.tensor([self.embedded.lengths[text] for text in texts])
        starts_P = self._starts_B[list(texts)]
        position_L = torch.arange(int(lengths_P.max()))
        kept_PL = position_L < lengths_P[:, None]
        place_PL = starts_P[:, None] + position_L * kept_PL
        device = self.embedded.x_BLd.device
        return Together(texts, place_PL.to(device), kept_PL.to(device))

    def tokens(self) -> torch.Tensor:
        """What the first layer reads, (N, d)."""
        x_BLd = self.embedded.x_BLd
        lengths_B = torch.tensor(self.embedded.lengths)
        kept_BL = torch.arange(x_BLd.shape[1]) < lengths_B[:, None]
        return x_BLd[kept_BL.to(x_BLd.device)]

    def attend(
        self, query_NHe: torch.Tensor, key_NHe: torch.Tensor, value_NHe: torch.Tensor
    ) -> torch.Tensor:
        """The attention of each text with itself, (N, H, e)."""
        mixed_NHe = torch.empty_like(query_NHe)
        for group, mask in zip(self.groups, self._masks, strict=True):
            query_PHLe, key_PHLe, value_PHLe = (
                part_NHe[group.place_PL].transpose(1, 2)
                for part_NHe in (query_NHe, key_NHe, value_NHe)
            )
            mixed_PHLe = F.scaled_dot_product_attention(
                query_PHLe,
                key_PHLe,
                value_PHLe,
                attn_mask=mask,
                is_causal=self.embedded.causal,
            )
            kept_PL = group.kept_PL
            mixed_NHe[group.place_PL[kept_PL]] = mixed_PHLe.transpose(1, 2)[kept_PL]
        return mixed_NHe

    def _mask(self, group: Together) -> torch.Tensor | None:
        if self.embedded.causal:
            return None  # padding comes after all that sees
        if self.embedded.mask_BLL is not None:
            length = group.place_PL.shape[1]
            return self.embedded.mask_BLL[list(group.texts), None, :length, :length]
        return group.hides(self.embedded.x_BLd)


def alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Texts of like length, by their places, the longest last.

    The softmax of an attention sums vectors of `VECTOR` positions, then what is left one by one. So
    the sum of a text of 14 positions comes out otherwise beside one of 17: in fp32 the seventh
    digit differs, and in bf16 that can turn a rounding. No two together are on two sides of such a
    border.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for _, some in groupby(order, key=lambda text: lengths[text] // VECTOR):
        yield [*some]
