"""What concepts cost a batch of queries, for `concepts.py`: without, with, and by PEFT."""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel

from benchmarks.measured import Rows, timed
from benchmarks.plain_concepts import NOUNS, SCENES, make_tower
from retrieval.concepts.adapter import save_concept
from retrieval.concepts.concept import Concept, new_concept
from retrieval.concepts.peft_base import peft_base
from retrieval.concepts.queries import encode_queries, finish_with
from retrieval.text.tower import TextTower

QUERIES, BANK = 64, 10_000


def show_encoding(rows: Rows, options: argparse.Namespace) -> None:
    """What a concept of its own costs each query of a batch."""
    tower = make_tower(options.tower)
    concepts = make_bank(tower, BANK)
    scenes = [SCENES[number % len(SCENES)] for number in range(QUERIES)]
    texts = [f"{concepts[number].phrase} {scenes[number]}" for number in range(QUERIES)]
    print(f"\nencoding: {options.tower}'s text tower, {QUERIES} queries, another concept in each")
    picks = np.random.default_rng(0).integers(BANK, size=(options.encodings, QUERIES))
    none: list[list[Concept]] = [[]] * QUERIES
    for row in (none, [[concept] for concept in concepts[:QUERIES]]):
        encode_queries(tower, [f"{number} {scene}" for number, scene in enumerate(scenes)], row)
    with_, without = [], []
    for turn in range(options.encodings):
        own = [[concepts[number]] for number in picks[turn]]
        queries = [f"{{{row[0].name}}} {scene}" for row, scene in zip(own, scenes, strict=True)]
        same = [f"{row[0].phrase} {scene}" for row, scene in zip(own, scenes, strict=True)]
        with_.append(timed(lambda q=queries, own=own: encode_queries(tower, q, own))[0])
        without.append(timed(lambda s=same: encode_queries(tower, s, none))[0])
    rows.add("without concepts", [1000 * took for took in without], "ms")
    rows.add("each with its own concept", [1000 * took for took in with_], "ms")
    shares = [one / other for one, other in zip(with_, without, strict=True)]
    rows.add("   in terms of the batch without", shares, "x", ("at most", 1.10))
    peft = time_peft(tower, concepts[:QUERIES], texts, options.peft_encodings)
    rows.add(
        "PEFT, one adapter a row (`adapter_names`), context not cut",
        [1000 * took for took in peft],
        "ms",
    )
    held = sum(c.a_Rd.nbytes + c.b_Rd.nbytes for c in concepts) / len(concepts)
    rows.add(
        f"{BANK:,} concepts in use at once: memory each, in d floats",
        [held / 4 / tower.width],
        "",
        ("at most", 2),
    )


def make_bank(tower: TextTower, count: int) -> list[Concept]:
    """Concepts with random updates."""
    b_CRd = 0.1 * torch.randn(count, 1, tower.width)
    return [
        replace(new_concept(f"c{n}", NOUNS[n % len(NOUNS)], "sks", tower.width), b_Rd=b_Rd.clone())
        for n, b_Rd in enumerate(b_CRd)
    ]


def time_peft(
    tower: TextTower, concepts: Sequence[Concept], texts: list[str], repetitions: int
) -> list[float]:
    """Seconds for the same batch by PEFT's own mixed batches; checks that it gives the same."""
    with tempfile.TemporaryDirectory() as folder:
        for concept in concepts:
            save_concept(concept, tower, Path(folder) / concept.name)
        first, *others = [concept.name for concept in concepts]
        model = PeftModel.from_pretrained(peft_base(tower), f"{folder}/{first}", first)
        for name in others:
            model.load_adapter(f"{folder}/{name}", name)
    model.eval()
    ids_BL = tower.encoder.tokens(texts)
    names = [concept.name for concept in concepts]

    def run() -> np.ndarray:
        with torch.no_grad():
            return F.normalize(model(ids_BL, adapter_names=names), dim=-1).numpy()

    ours = np.stack(
        [
            finish_with(tower, tower.prefix([text]), [c])[0]
            for text, c in zip(texts[:3], concepts[:3], strict=True)
        ]
    )
    np.testing.assert_allclose(run()[:3], ours, atol=1e-4)
    return [timed(run)[0] for _ in range(repetitions)]
