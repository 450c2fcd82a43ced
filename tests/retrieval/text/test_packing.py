"""Texts without padding: where their tokens are, and their attention beside one text's alone."""

import pytest
import torch

from retrieval.encoder import TEXTS
from retrieval.text.packing import Embedded, Packing, alike
from retrieval.text.tower import TextTower

LENGTHS = [20, 5, 15, 16, 31, 32, 7, 1]


def _embedded(causal=False, mask_BLL=None, lengths=LENGTHS):
    x_BLd = torch.randn(len(lengths), max(lengths), 8, generator=torch.Generator().manual_seed(0))
    return Embedded(x_BLd, lengths, causal, mask_BLL, None)


def test_texts_of_like_length_stand_together():
    assert list(alike(LENGTHS)) == [[7, 1, 6, 2], [3, 0, 4], [5]]
    assert list(alike([])) == []


def test_tokens_are_the_texts_one_after_the_other():
    embedded = _embedded()
    packing = Packing(embedded)
    texts = [x_Ld[:length] for x_Ld, length in zip(embedded.x_BLd, LENGTHS, strict=True)]
    tokens_Nd = packing.tokens()
    assert torch.equal(tokens_Nd, torch.cat(texts))
    together = packing.together([4, 1])
    assert torch.equal(tokens_Nd[together.place_PL[0]], texts[4])
    assert torch.equal(tokens_Nd[together.place_PL[1, :5]], texts[1])
    assert together.kept_PL.sum(dim=1).tolist() == [31, 5]


def _one(x_Ld, heads, hidden_LL):
    """An attention of a text with itself, as one writes it down, in float64."""
    parts = x_Ld.double().view(len(x_Ld), heads, -1).transpose(0, 1)
    scores = parts @ parts.mT / parts.shape[-1] ** 0.5 + hidden_LL.double()
    return (scores.softmax(dim=-1) @ parts).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("form", ["all", "causal", "own"])
def test_each_text_attends_to_itself_alone(form):
    lengths = [12] * 5 if form == "own" else LENGTHS
    hidden_BLL = torch.zeros(len(lengths), max(lengths), max(lengths))
    if form == "causal":
        hidden_BLL += torch.full_like(hidden_BLL[0], -torch.inf).triu(1)
    if form == "own":  # each text hides another position
        for text in range(len(lengths)):
            hidden_BLL[text, :, 2 * text] = -torch.inf
    embedded = _embedded(form == "causal", hidden_BLL if form == "own" else None, lengths)
    packing = Packing(embedded)
    parts_NHe = packing.tokens().view(sum(lengths), 2, -1)
    got_Nd = packing.attend(parts_NHe, parts_NHe, parts_NHe).flatten(1)
    expected = [
        _one(x_Ld[:length], 2, hidden_LL[:length, :length])
        for x_Ld, length, hidden_LL in zip(embedded.x_BLd, lengths, hidden_BLL, strict=True)
    ]
    torch.testing.assert_close(got_Nd.double(), torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_many_texts_come_in_parts_and_each_once(minilm):
    texts = [f"{'very ' * (number % 40)}nice" for number in range(TEXTS + 10)]
    tower = TextTower(minilm)
    found = [(rows, prefix) for rows, prefix in tower.prefixes(texts)]
    assert sorted(row for rows, _ in found for row in rows) == list(range(len(texts)))
    for rows, prefix in found:
        assert len(prefix) == len(rows)
        lengths = [len(minilm.tokens([texts[row]])[0]) for row in rows]
        assert prefix.inputs_BLd.shape[1] == max(lengths)
        assert len({length // 16 for length in lengths}) == 1
