"""What holding a student back is worth: spans and blends, for wishes that training knows or not.

Of a finished run (`dvc repro`) the catalogue, the base model, the labels and the tournaments are
used as they are. In every draw a third of the training personas' wishes are held out, besides those
that the run holds out: their labels are left aside, and the map is trained anew on all the others,
in one go. Then it is held back in each way, after training, and once it is trained within a span.
The rule of docs/distillation.md chooses among the ways by the validation split; all numbers are of
the test split: points of the winner's mean percentile over the base model's, and caption recall@1
lost, the larger of both directions. The last table has each draw's choice, with the 95 % interval
over held-out wishes.

    python -m benchmarks.held_out_wishes             # five draws
    python -m benchmarks.held_out_wishes --draws 2
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from benchmarks.measured import markdown
from pipelines.held_out.choice import NOTHING_LEARNED, Judges, Restraint, Validation, best_of
from pipelines.run.params import Params, load_params
from pipelines.run.paths import BASE, PERSONA_VECTORS, PERSONAS_FILE, PRODUCTS_FILE, cycle_model
from pipelines.run.stage import derive_seed
from pipelines.training.cycle import read_rankings, restraints
from pipelines.training.distillation import Distillation, Place
from pipelines.training.embedding_map import EmbeddingMap, spanned
from pipelines.training.preferences import Preferences
from pipelines.training.processes import join_team
from pipelines.training.student import Student
from retrieval.compute import make_repeatable, resolve_device
from retrieval.encoder import load_encoder
from retrieval.slices import named_wishes, trained_wishes
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from retrieval.storage.vectors import read_vectors

SHARE = 1 / 3  # of the training personas' wishes
WITHIN = 0.9  # the span of the map that is trained within one


@dataclass(frozen=True)
class Way:
    """One way of holding back, in one draw."""

    name: str
    val: Validation
    test: Validation
    interval: tuple[float, float] | None  # of the test's gain on held-out wishes, 95 %


class WithinSpan(EmbeddingMap):
    """A map whose output lies in a span from the first step on."""

    span_KD: torch.Tensor

    def up_DR(self) -> torch.Tensor:
        """P within the span."""
        up_DR = super().up_DR()
        return self.span_KD.T @ (self.span_KD @ up_DR)


def measure(params: Params, draw: int) -> list[Way]:
    """Hold wishes out, train twice, and look at every way."""
    personas = read_rows(PERSONAS_FILE, PERSONAS)
    known = sorted(trained_wishes(personas))
    rng = np.random.default_rng(derive_seed(params.seed, "held-out wishes", str(draw)))
    held = {known[at] for at in rng.permutation(len(known))[: round(SHARE * len(known))]}
    trained = set(known) - held
    left = {
        row["persona_id"]
        for row in personas
        if row["split"] == "train" and held.isdisjoint(named_wishes(row["facets"]))
    }
    judges = {split: Judges(split, trained) for split in ("val", "test")}
    free = _train(params, draw, left, EmbeddingMap)
    ways = [
        _look(free, restraint, _name(restraint), judges)
        for restraint in [*restraints(params.distill), NOTHING_LEARNED]
    ]
    within = _train(params, draw, left, WithinSpan)
    name = f"trained within span {WITHIN:g}"
    return [*ways, _look(within, Restraint(1.0, 1.0), name, judges)]


def _train(params: Params, draw: int, left: Set[str], kind: type[EmbeddingMap]) -> Distillation:
    """Distil from the base model, by the labels of these personas alone."""
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    last = list(params.cycles)[-1]
    rankings = [row for row in read_rankings(params.distill, last) if row["persona_id"] in left]
    texts_TD = read_vectors(PERSONA_VECTORS).rows(sorted(left))
    device = resolve_device(params.compute.device)
    make_repeatable(derive_seed(params.seed, "held-out wishes", str(draw)), params.compute.threads)
    encoder = load_encoder(cycle_model(BASE), device)

    def make_map(shared_D: torch.Tensor, rank: int, device: str) -> nn.Module:
        made = kind(shared_D, rank, device)
        if isinstance(made, WithinSpan):
            made.span_KD = torch.from_numpy(spanned(texts_TD, WITHIN)).to(device)
        return made

    with join_team(device) as team, patch("pipelines.training.student.EmbeddingMap", make_map):
        student = Student(encoder, params.distill, products, {}, texts_TD)
        preferences = Preferences(rankings, products, params.distill, device)
        place = Place(f"draw {draw}", 0, 1, draw)
        training = Distillation(student, preferences, params.distill, place, team, "fp32")
        training.run(None)
    return training


def _look(
    training: Distillation, restraint: Restraint, name: str, judges: dict[str, Judges]
) -> Way:
    rows = {row["product_id"]: at for at, row in enumerate(read_rows(PRODUCTS_FILE, PRODUCTS))}
    with training.student.held_back(restraint):
        vectors_ND = training.student.vectors()
    shown = {split: vectors_ND[[rows[p] for p in judges[split].product_ids]] for split in judges}
    return Way(
        name,
        judges["val"].validate(shown["val"]),
        judges["test"].validate(shown["test"]),
        judges["test"].held_out_interval(shown["test"], 0.95),
    )


def _name(restraint: Restraint) -> str:
    if restraint == NOTHING_LEARNED:
        return "base model"
    return f"span {restraint.span:g}, blend {restraint.blend:g}"


def choose(ways: Sequence[Way], max_caption_drop: float) -> Way:
    """What the rule takes; the base model where each of the others does harm."""
    tried = ways[:-2]  # neither the base model nor what is trained within a span
    best = best_of([way.val for way in tried], max_caption_drop)
    return ways[-2] if best is None else tried[best]


def rows_of(draws: Sequence[Sequence[Way]], chosen: Sequence[Way]) -> Iterator[list[str]]:
    """A row a way: means and ranges over the draws; the rule's choice last."""
    by_way = [(ways[0].name, ways) for ways in zip(*draws, strict=True)]
    for name, ways in [*by_way, ("**the rule's choice**", tuple(chosen))]:
        yield [
            name,
            _spread([way.test.known for way in ways]),
            _spread([way.test.held_out for way in ways]),
            _spread([way.test.caption_drop for way in ways]),
        ]


def _spread(values: Sequence[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if not known:
        return ""
    return f"{statistics.mean(known):+.1f} ({min(known):+.1f} to {max(known):+.1f})"


def choices(draws: Sequence[Sequence[Way]], chosen: Sequence[Way]) -> Iterator[list[str]]:
    """A row a draw."""
    for number, (ways, way) in enumerate(zip(draws, chosen, strict=True)):
        low, high = way.interval or (float("nan"), float("nan"))
        free = ways[0].test
        yield [
            str(number),
            way.name,
            f"{_spread([way.test.known]).split(' ')[0]} ({_spread([free.known]).split(' ')[0]})",
            f"{_spread([way.test.held_out]).split(' ')[0]} ({100 * low:+.1f} to {100 * high:+.1f})",
            _spread([free.held_out]).split(" ")[0],
        ]


def main() -> None:
    """Read the arguments, measure, print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    params = load_params()
    draws, chosen = [], []
    for draw in range(options.draws):
        draws.append(measure(params, draw))
        chosen.append(choose(draws[-1], params.distill.max_caption_drop))
        print(f"draw {draw}: {chosen[-1].name}", file=sys.stderr, flush=True)
    header = ("way", "known wishes", "held-out wishes", "captions lost")
    print(markdown(header, rows_of(draws, chosen)), end="\n\n")
    header = (
        "draw", "chosen", "known (nothing held back)", "held-out (95 %)", "nothing held back",
    )  # fmt: skip
    print(markdown(header, choices(draws, chosen)))


if __name__ == "__main__":
    main()
