"""A text tower cut where the last layer's value acts: what lies before is computed once.

A concept changes only the value projection of the last layer, so everything before it depends on
the text alone (arXiv 2506.10182). What follows is computed for the rows that are pooled: one token
a text, or all tokens where the tower takes their mean.

B texts, L tokens, d width of the tower, D of the embedding, H heads, N rows that are pooled, Q of
them a text at most, K rank-one updates a text. G groups of P texts share their updates.
"""

import copy
import hashlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from retrieval.encoder import TEXTS, Encoder
from retrieval.text.forms import form_of
from retrieval.text.layers import Layer, split_heads
from retrieval.text.packing import Packing, Together


@dataclass(frozen=True)
class Updates:
    """Rank-one updates of the value, K for each text, padded with zeros: V' = V + B^T A."""

    a_BKd: torch.Tensor
    b_BKd: torch.Tensor


@dataclass(frozen=True)
class Prefix:
    """Everything that an update leaves as it is."""

    inputs_BLd: torch.Tensor  # what the value projection reads
    weights_BQHL: torch.Tensor  # the attention of the rows that are pooled
    rows_Nd: torch.Tensor  # that attention's output, without an update
    residual_Nd: torch.Tensor
    picked_N: torch.Tensor | None  # which of the B * Q rows are pooled; None: all
    owner_N: torch.Tensor | None  # into whose mean each goes; None: one row a text

    def __len__(self) -> int:
        """B."""
        return len(self.inputs_BLd)


class TextTower:
    """The text tower of an encoder, as concepts see it; the model is left as it is."""

    def __init__(self, encoder: Encoder) -> None:
        """Find the last layer.

        Raises:
            ValueError: The tower is of a kind that is not supported; it is named.
        """
        self.encoder = encoder
        self._form = form_of(encoder.model.text)
        self._head = self._form.head
        *self._before_last, self.layer = self._form.layers
        self.value_path = self._form.value_path

    @property
    def width(self) -> int:
        """d: the length of a concept's two vectors."""
        return len(self.layer.value[0])

    @property
    def digest(self) -> str:
        """SHA-256 of the text tower's tensors with their names: what a concept belongs to."""
        return _digest(self.encoder.model.text)

    def prefix(self, texts: Sequence[str]) -> Prefix:
        """Everything before the last layer's value, on no more positions than matter."""
        with torch.no_grad():
            packing = Packing(self._form.embed(self.encoder.tokens(texts)))
            before_Nd = self._before(packing)
            return self._attended(packing, before_Nd, packing.together(range(len(texts))))

    def prefixes(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], Prefix]]:
        """As `prefix`, of texts of like length together: their places among all, and theirs."""
        ids_BL = self.encoder.tokens(texts)
        lengths = self._form.lengths(ids_BL)
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        for start in range(0, len(order), TEXTS):
            rows = order[start : start + TEXTS]
            with torch.no_grad():
                packing = Packing(self._form.embed(ids_BL[rows, : lengths[rows[-1]]]))
                before_Nd = self._before(packing)
                found = [self._attended(packing, before_Nd, some) for some in packing.groups]
            for some, prefix in zip(packing.groups, found, strict=True):
                yield [rows[text] for text in some.texts], prefix

    def _before(self, packing: Packing) -> torch.Tensor:
        """What the last layer reads, (N, d)."""
        x_Nd = packing.tokens()
        for layer in self._before_last:
            x_Nd = layer.through(x_Nd, packing)
        return x_Nd

    def _attended(self, packing: Packing, before_Nd: torch.Tensor, some: Together) -> Prefix:
        """The last layer of texts that are padded to the longest of them."""
        texts, kept_PL, embedded = list(some.texts), some.kept_PL, packing.embedded
        picked_P = None if embedded.picked_B is None else embedded.picked_B[texts]
        mask_PQHL = some.hides(before_Nd)
        if embedded.mask_BLL is not None:
            mask_PQHL = embedded.mask_BLL[texts, picked_P][:, None, None]
        attended = self.layer.attend(before_Nd[some.place_PL], mask_PQHL, picked_P)
        picked_N = owner_N = None
        rows_Nd, residual_Nd = attended.rows_BQd.flatten(0, 1), attended.residual_BQd.flatten(0, 1)
        if picked_P is None:
            picked_N = kept_PL.flatten().nonzero()[:, 0]
            owner_N = picked_N // kept_PL.shape[1]
            rows_Nd, residual_Nd = rows_Nd[picked_N], residual_Nd[picked_N]
        return Prefix(
            attended.inputs_BLd, attended.weights_BQHL, rows_Nd, residual_Nd, picked_N, owner_N
        )

    def finish(self, prefix: Prefix, updates: Updates | None = None) -> torch.Tensor:
        """The rest, with each text's own updates: unit vectors (B, D), with gradients."""
        rows_Nd = prefix.rows_Nd
        if updates is not None:
            shift_Nd = shift(
                self.layer, prefix.inputs_BLd, prefix.weights_BQHL[:, None], updates
            ).flatten(0, 1)
            rows_Nd = rows_Nd + (shift_Nd if prefix.picked_N is None else shift_Nd[prefix.picked_N])
        return self.embed(rows_Nd, prefix.residual_Nd, prefix.owner_N, len(prefix))

    def embed(
        self,
        rows_Nd: torch.Tensor,
        residual_Nd: torch.Tensor,
        owner_N: torch.Tensor | None,
        texts: int,
    ) -> torch.Tensor:
        """Unit vectors (B, D) from the last attention's output at the rows that are pooled."""
        pooled_Bd = self.layer.finish(rows_Nd, residual_Nd)
        if owner_N is not None:
            sums_Bd = pooled_Bd.new_zeros(texts, pooled_Bd.shape[1]).index_add(
                0, owner_N, pooled_Bd
            )
            pooled_Bd = sums_Bd / owner_N.bincount(minlength=texts)[:, None]
        return F.normalize(self._head(pooled_Bd), dim=-1)

    def in_float64(self) -> "TextTower":
        """A copy in double precision, all of it."""
        text = copy.deepcopy(self.encoder.model.text).double()
        return TextTower(replace(self.encoder, model=SimpleNamespace(text=text)))

    def with_bfloat16_prefix(self) -> "TextTower":
        """The same tower, whose layers before the last one multiply in bf16 (`bfloat16.py`)."""
        other = copy.copy(self)
        other._before_last = [layer.all_in_bfloat16() for layer in self._before_last]
        return other

    def in_bfloat16(self) -> "TextTower":
        """The same tower with the large matrices of `finish` in bf16; norms stay fp32."""
        other = copy.copy(self)
        other.layer, other._head = self.layer.in_bfloat16(), self._head.in_bfloat16()
        return other


def shift(
    layer: Layer, inputs_GXd: torch.Tensor, weights_GPQHL: torch.Tensor | None, updates: Updates
) -> torch.Tensor:
    """What updates add to the last attention's output, (G, P * Q, d).

    Args:
        layer: The last layer.
        inputs_GXd: What its value reads, X = P * L; or, without weights, what each head of each
            row reads on average (z in `layers.py`), X = P * Q * H.
        weights_GPQHL: The attention.
        updates: A group's, B = G.
    """
    groups, rank, _ = updates.b_BKd.shape
    read_GXK = inputs_GXd @ updates.a_BKd.mT
    if weights_GPQHL is None:
        read_GRhK = read_GXK.view(groups, -1, layer.heads * rank)
    else:
        texts, queries = weights_GPQHL.shape[1:3]
        read_GPqK = weights_GPQHL.flatten(2, 3) @ read_GXK.view(groups, texts, -1, rank)
        read_GRhK = read_GPqK.view(groups, texts * queries, layer.heads * rank)
    spread_Hed = layer.spread_Hed
    b_HYe = split_heads(updates.b_BKd.flatten(0, 1), layer.heads).transpose(0, 1)  # Y = G * K
    spread_HYd = torch.bmm(b_HYe.to(spread_Hed.dtype), spread_Hed).to(read_GRhK.dtype)
    spread_HGKd = spread_HYd.view(layer.heads, groups, rank, -1)
    return torch.bmm(read_GRhK, spread_HGKd.transpose(0, 1).flatten(1, 2))


_DIGESTS: weakref.WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], str]] = (
    weakref.WeakKeyDictionary()
)


def _digest(text: nn.Module) -> str:
    """Computed once a model (a second for the largest), and again after a tensor was written to."""
    tensors = dict(sorted(text.state_dict().items()))
    versions = tuple(tensor._version for tensor in tensors.values())
    known = _DIGESTS.get(text)
    if known is not None and known[0] == versions:
        return known[1]
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        content = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {content.dtype} {tuple(content.shape)}\n".encode())
        digest.update(content.flatten().view(torch.uint8).numpy())
    _DIGESTS[text] = versions, digest.hexdigest()
    return digest.hexdigest()
