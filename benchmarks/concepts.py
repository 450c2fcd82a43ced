"""Personal concepts: are they exact, how long does learning take, what do they cost a query?

The plain peer is the method as one would write it down: the last layer by autograd in every step,
one concept after another. Exactness is against the whole tower run forward in every step; and, as
Adam amplifies rounding, of concepts learned alone against the same learned beside others. Weights
are random (their values change no time), but MiniLM's are the published ones; pictures are random
vectors. Everything is warmed up; peers take turns. Median and range over the repetitions.

    python -m benchmarks.concepts                     # the table: a quarter of an hour on two cores
    python -m benchmarks.concepts --quick             # a small tower, a few steps: does it run?
    python -m benchmarks.concepts --only encoding --repetitions 9
    python -m benchmarks.concepts --precision bf16    # also where `auto` would not choose it
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.concept_encoding import show_encoding
from benchmarks.measured import Rows, describe_machine, timed
from benchmarks.plain_concepts import PHOTOS, SCENES, PlainLoop, make_concepts, make_tower
from retrieval.compute import resolve_precision
from retrieval.concepts.concept import Concept, ConceptWarning
from retrieval.concepts.learning import Settings, learn_many
from retrieval.concepts.queries import encode_queries, finish_with
from retrieval.text.tower import TextTower

TOWERS = ("ViT-B-32", "ViT-L-14", "ViT-B-16-SigLIP", "MiniLM")
SETTINGS = Settings(steps=500, learning_rate=1e-3, l2=0.35)  # as published
DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16}
# How many times as fast as the plain loop is asked for.
FASTER = {("fp32", "padded"): 60, ("fp32", "cut"): 10, ("bf16", "padded"): 150}
OTHERS = 8  # concepts that are learned one by one and together
SQUARE = 2048  # side of the bare matrix product


def relative(got: Sequence[float], expected: Sequence[float]) -> float:
    """The largest relative difference."""
    return float(np.max(np.abs(np.asarray(got) / np.asarray(expected) - 1)))


def final_losses(tower: TextTower, learned: list[Concept], photos: list[np.ndarray]) -> np.ndarray:
    """The loss of each concept as it is."""
    return learn_many(tower, learned, photos, replace(SETTINGS, steps=1))[1][:, 0]


def show_exactness(rows: Rows, options: argparse.Namespace) -> None:
    """Every tower against the whole of it run forward in every step."""
    settings = replace(SETTINGS, steps=options.exact_steps, learning_rate=1e-2)
    print(f"\nexactness: {PHOTOS} photos, {settings.steps} steps, the whole tower in every step")
    for name in options.towers:
        tower = make_tower(name)
        [start], [photos_PD] = make_concepts(tower, 1)
        expected, losses = PlainLoop(tower).learn(start, photos_PD, settings, "whole")
        [got], [ours] = learn_many(tower, [start], [photos_PD], settings)
        prefix = tower.prefix([f"{start.phrase} {scene}" for scene in SCENES])
        one, other, without = (
            finish_with(tower, prefix, concepts) for concepts in ([got], [expected], [])
        )
        moved = np.abs(one - without).max()
        rows.add(
            f"{name}: loss, largest relative difference",
            [relative(ours, losses)],
            "",
            ("at most", 1e-5),
        )
        rows.add(
            f"{name}: embedding, largest difference (moved by {moved:.2f})",
            [float(np.abs(one - other).max())],
            "",
            ("at most", 1e-4),
        )
        for precision, bar in (("fp32", 1e-3), ("fp64", 1e-5)):
            chosen = replace(settings, precision=precision)
            rows.add(
                f"{name}: embedding, alone against beside others, {precision}",
                [beside_others(tower, chosen)],
                "",
                ("at most", bar),
            )


def beside_others(tower: TextTower, settings: Settings) -> float:
    """The largest difference between concepts learned one by one and among others.

    Photos, nouns and so the padding differ from concept to concept.
    """
    starts, photos = make_concepts(tower, OTHERS)
    photos = [own_PD[: 1 + number % PHOTOS] for number, own_PD in enumerate(photos)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConceptWarning)  # one photo, on purpose
        together, _ = learn_many(tower, starts, photos, settings)
        alone = [
            learn_many(tower, [start], [own_PD], settings)[0][0]
            for start, own_PD in zip(starts, photos, strict=True)
        ]
    queries = [f"{{{start.name}}} {SCENES[0]}" for start in starts]
    one, other = (
        encode_queries(tower, queries, [[concept] for concept in concepts])
        for concepts in (together, alone)
    )
    return float(np.abs(one - other).max())


def bare_speed(dtype: torch.dtype) -> float:
    """FLOP/s of a bare matrix product, the best of five."""
    left, right = torch.randn(2, SQUARE, SQUARE).to(dtype)
    seconds = [timed(lambda: left @ right)[0] for _ in range(6)]
    return 2 * SQUARE**3 / min(seconds[1:])


def count_flops(
    tower: TextTower, starts: list[Concept], photos: list[np.ndarray], steps: int
) -> int:
    """Arithmetic of the matrix products of learning these concepts, all steps."""
    counts = []
    for few in (1, 2):
        with FlopCounterMode(display=False) as counter:
            learn_many(tower, starts, photos, replace(SETTINGS, steps=few))
        counts.append(counter.get_total_flops())
    return counts[0] + (steps - 1) * (counts[1] - counts[0])


def show_learning(rows: Rows, options: argparse.Namespace) -> None:
    """Seconds a concept, together and one after another."""
    tower = make_tower(options.tower)
    starts, photos = make_concepts(tower, options.concepts)
    peer, settings = PlainLoop(tower), replace(SETTINGS, steps=options.steps)
    print(
        f"\nlearning: {options.tower}'s text tower, {PHOTOS} photos, {settings.steps} steps,"
        f" {options.concepts} concepts together; the plain loop learns one a repetition"
    )
    warm = replace(settings, steps=2)
    seconds: dict[str, list[float]] = {}
    ends: dict[str, np.ndarray] = {}
    plain_losses: list[float] = []
    for precision in options.precisions:
        learn_many(tower, starts, photos, replace(warm, precision=precision))
    for form in ("padded", "cut"):
        peer.learn(starts[0], photos[0], warm, form)
    for turn in range(options.repetitions):
        for precision in options.precisions:
            chosen = replace(settings, precision=precision)
            took, result = timed(lambda chosen=chosen: learn_many(tower, starts, photos, chosen))
            seconds.setdefault(precision, []).append(took / options.concepts)
            ends[precision] = final_losses(tower, result[0], photos)
            took, _ = timed(lambda chosen=chosen: learn_many(tower, starts[:1], photos[:1], chosen))
            seconds.setdefault(f"{precision} alone", []).append(took)
        at = turn % options.concepts
        for form in ("padded", "cut"):
            took, result = timed(
                lambda form=form, at=at: peer.learn(starts[at], photos[at], settings, form)
            )
            seconds.setdefault(form, []).append(took)
        plain_losses.append(float(final_losses(tower, [result[0]], [photos[at]])[0]))
    _print_learning(rows, options, seconds)
    turns = len(plain_losses)
    for precision in options.precisions:
        rows.add(
            f"final loss, {precision}, relative difference to the plain loop's",
            [relative(ends[precision][:turns], plain_losses[: options.concepts])],
            "",
            ("at most", 1e-3 if precision == "bf16" else 1e-5),
        )
    flops = count_flops(tower, starts, photos, settings.steps)
    for precision in options.precisions:
        bare = bare_speed(DTYPES[precision])
        speed = [flops / (took * options.concepts) for took in seconds[precision]]
        rows.add(
            f"{precision}: share of a bare matrix product's {bare / 1e9:.0f} GFLOP/s",
            [100 * one / bare for one in speed],
            "%",
        )


def _print_learning(
    rows: Rows, options: argparse.Namespace, seconds: dict[str, list[float]]
) -> None:
    """Times, and how many times the plain loop's they are in each turn."""
    rows.add("plain loop: all positions", seconds["padded"], "s/concept")
    rows.add("plain loop: padding cut", seconds["cut"], "s/concept")
    for precision in options.precisions:
        rows.add(f"together, {precision}", seconds[precision], "s/concept")
        rows.add("   one concept alone", seconds[f"{precision} alone"], "s")
        for form in ("padded", "cut"):
            bar = FASTER.get((precision, form))
            times = [
                plain / ours for plain, ours in zip(seconds[form], seconds[precision], strict=True)
            ]
            rows.add(
                f"   times faster than the plain loop, {form}",
                times,
                "x",
                None if bar is None else ("at least", bar),
            )


def read_options() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("exactness", "learning", "encoding")
    parser.add_argument("--only", choices=parts, help="one part of the table")
    parser.add_argument("--quick", action="store_true", help="a small tower, a few steps")
    parser.add_argument("--tower", default="ViT-L-14", help="for times (default: ViT-L-14)")
    parser.add_argument("--concepts", type=int, default=64, help="together (default: 64)")
    parser.add_argument("--steps", type=int, default=500, help="a concept (default: 500)")
    parser.add_argument("--exact-steps", type=int, default=100, help="(default: 100)")
    parser.add_argument("--repetitions", type=int, default=3, help="of learning (default: 3)")
    parser.add_argument("--encodings", type=int, default=15, help="of a batch (default: 15)")
    parser.add_argument("--peft-encodings", type=int, default=3, help="(default: 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="bf16 as well? (default: auto, where the processor multiplies it in hardware)",
    )
    options = parser.parse_args()
    options.parts = (options.only,) if options.only else parts
    options.precisions = ["fp32", "fp64"]
    if resolve_precision(options.precision, "cpu") == "bf16":
        options.precisions.append("bf16")
    options.towers = TOWERS
    if options.quick:
        options.tower, options.towers = "ViT-B-32", ("ViT-B-32", "MiniLM")
        options.concepts, options.steps, options.exact_steps = 8, 10, 10
        options.repetitions, options.encodings, options.peft_encodings = 2, 3, 1
    return options


def main() -> None:
    """Read the arguments, measure, print."""
    options = read_options()
    torch.set_num_threads(options.threads)
    print(describe_machine(), flush=True)
    if "bf16" not in options.precisions:
        print("bf16 is not measured: this processor has no matrix unit for it (--precision bf16)")
    rows = Rows(judged=not options.quick)
    show = {
        "exactness": show_exactness,
        "learning": show_learning,
        "encoding": show_encoding,
    }
    for part in options.parts:
        show[part](rows, options)
    sys.exit(1 if rows.missed else 0)


if __name__ == "__main__":
    main()
