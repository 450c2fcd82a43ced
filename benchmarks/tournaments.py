"""What tournaments in groups save over pairs, and whether they find the same winners.

On the studio, where the truth is known: for each seed a catalogue and personas are made up (nothing
is rendered), and the simulated teacher of params.yaml decides the matches. All forms play for the
same personas; nothing of the project changes. Median and range over the seeds.

The third form is what no stage does: half of the products are pruned before, those that neither of
two models ranks in its upper half. One reads captions, with the text encoder; the other stands for
the base model's pictures, whose vectors lie at a cosine of 0.94 to their captions'.

    python -m benchmarks.tournaments                  # five seeds, two minutes on two cores
    python -m benchmarks.tournaments --seeds 1 --personas 20
    python -m benchmarks.tournaments --group-size 8
"""

import argparse
import math
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.measured import Rows
from pipelines.labelling.knockout import Entry, Outcome, Rules, hold
from pipelines.labelling.teachers.asking import Ranker
from pipelines.labelling.teachers.protocol import Question, Reply, Request, Teacher
from pipelines.labelling.teachers.replies import read_reply
from pipelines.labelling.teachers.simulated import SimulatedTeacher
from pipelines.run.params import Params, load_params
from pipelines.run.stage import derive_seed
from pipelines.studio.personas import write_personas
from pipelines.studio.products import plan_products
from pipelines.tournaments import sum_up
from retrieval.minilm import load_minilm
from retrieval.wants import utilities

SHARE = 0.10  # of the pairwise calls, at most
REPEATS = 3
LIKENESS = 0.94  # cosine of a held-out picture and its caption, under the base model


class Memory:
    """Asks as `Asker` does, once more after a reply that is no ranking, but keeps no journal."""

    def __init__(self, teacher: Teacher) -> None:
        """Take the teacher."""
        self.name = teacher.name
        self._teacher = teacher

    def rank(self, requests: Sequence[Request]) -> list[Reply | None]:
        """One reply a request, in order; the digests, which nobody reads here, are left out."""
        orders: dict[Request, tuple[int, ...] | None] = {}
        again = self._ask([Question(request) for request in requests], orders)
        self._ask(again, orders)
        return [_reply(request, orders[request]) for request in requests]

    def _ask(self, questions: Sequence[Question], orders: dict) -> list[Question]:
        """Fill in the orders; what to ask again, with the complaint."""
        again, waiting = [], deque(questions)
        with self._teacher.open() as session:
            while waiting:  # the simulated teacher answers all that it was asked
                while waiting and session.room:
                    session.ask(waiting.popleft())
                for question, answer in session.wait():
                    order, complaint = read_reply(answer.raw, len(question.request.presented))
                    orders[question.request] = order
                    if order is None:
                        again.append(Question(question.request, answer.raw, complaint))
        return again


def _reply(request: Request, order: tuple[int, ...] | None) -> Reply:
    ranking = None if order is None else tuple(request.presented[place] for place in order)
    return Reply("", ranking)


def make_ranker(params: Params, seed: int, personas: list[dict], products: list[dict]) -> Ranker:
    """Who decides the matches."""
    return Memory(SimulatedTeacher(params.teacher.simulated, seed, personas, products))


@dataclass(frozen=True)
class Studio:
    """Personas, products, and the true utility of each to each."""

    personas: list[dict]
    ids: list[str]
    utilities: list[np.ndarray]
    ranker: Ranker
    scores: list[np.ndarray]
    """Of each model, personas by products."""

    def upper_halves(self) -> list[list[str]]:
        """For each persona the products that a model ranks in its upper half."""
        ranks = [(-scores).argsort(axis=1).argsort(axis=1) for scores in self.scores]
        kept = np.min(ranks, axis=0) < len(self.ids) / 2
        return [[self.ids[column] for column in np.flatnonzero(row)] for row in kept]


def model_scores(personas: list[dict], products: list[dict], seed: int) -> list[np.ndarray]:
    """Scores of the caption model, and of what stands for the base model's pictures."""
    sentences = load_minilm()
    texts = sentences([persona["text"] for persona in personas])
    captions = sentences([product["caption"] for product in products])
    noise = np.random.default_rng(seed).normal(size=captions.shape)
    noise -= (noise * captions).sum(axis=1, keepdims=True) * captions
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    pictures = LIKENESS * captions + math.sqrt(1 - LIKENESS**2) * noise
    return [texts @ captions.T, texts @ pictures.T]


def make_studio(params: Params, seed: int, products: int, personas: int) -> Studio:
    """Make up a catalogue, and personas to whom something in it is of use."""
    rows = [row for row, _ in plan_products(products, derive_seed(seed, "products"))]
    attributes = [row["attributes"] for row in rows]
    judges, found = [], []
    for persona in write_personas(2 * personas, derive_seed(seed, "personas")):
        utility = utilities(persona["wants"], attributes)
        if utility.any() and len(judges) < personas:
            judges.append(persona)
            found.append(utility)
    ranker = make_ranker(params, derive_seed(seed, "teacher"), judges, rows)
    scores = model_scores(judges, rows, derive_seed(seed, "pictures"))
    return Studio(judges, [row["product_id"] for row in rows], found, ranker, scores)


def play(
    studio: Studio, rules: Rules, seed: int, entrants: Sequence[Sequence[str]], number: int = 0
) -> list[Outcome]:
    """One tournament for each of the first personas, as many as there are lists of entrants."""
    entries = [
        Entry(one["persona_id"], ids, derive_seed(seed, one["persona_id"], str(number)), number)
        for one, ids in zip(studio.personas, entrants, strict=False)
    ]
    return [outcome for outcome in hold(studio.ranker, entries, rules) if outcome is not None]


def judge(studio: Studio, winners: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each winner the utility, whether none is better, and the utility's percentile."""
    pairs = list(zip(winners, studio.utilities, strict=False))
    won = np.array([utility[studio.ids.index(winner)] for winner, utility in pairs])
    best = np.array([value >= u.max() - 1e-9 for value, (_, u) in zip(won, pairs, strict=True)])
    below = [
        (np.mean(u < value - 1e-9) + np.mean(u <= value + 1e-9)) / 2
        for value, (_, u) in zip(won, pairs, strict=True)
    ]
    return won, best, np.array(below)


def percentile_of(studio: Studio, winners: Sequence[str]) -> float:
    """The winners' mean percentile under the model of pictures: what the truth says of it."""
    columns = [studio.ids.index(winner) for winner in winners]
    scores = studio.scores[1]
    return float(np.mean([np.mean(row < row[at]) for row, at in zip(scores, columns, strict=True)]))


def measure(options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Play both forms, and one of them again; every number that is printed."""
    params = load_params()
    studio = make_studio(params, seed, options.products, options.personas)
    most = params.tournaments.max_calls_per_match
    numbers: dict[str, float] = {}
    winners, values = {}, {}
    everything = [studio.ids] * options.personas
    halves = studio.upper_halves()
    size = options.group_size
    forms = (("pairs", 2, everything), ("groups", size, everything), ("halves", size, halves))
    for form, size, entrants in forms:
        outcomes = play(studio, Rules(size, most), seed, entrants)
        winners[form] = [outcome.winner for outcome in outcomes]
        values[form], best, below = judge(studio, winners[form])
        numbers |= {
            f"{form} calls": np.mean([outcome.calls for outcome in outcomes]),
            f"{form} of least": np.mean([one.calls for one in outcomes])
            / (2 * options.products - 2),
            f"{form} best": best.mean(),
            f"{form} percentile": below.mean(),
            f"{form} undecided": np.mean([outcome.undecided for outcome in outcomes]),
            f"{form} model": percentile_of(studio, winners[form]),
        }
    same = [one == other for one, other in zip(winners["pairs"], winners["groups"], strict=True)]
    numbers["share"] = numbers["groups calls"] / numbers["pairs calls"]
    numbers["kept"] = np.mean([len(ids) for ids in halves]) / options.products
    numbers["pruned gain"] = numbers["halves best"] - numbers["groups best"]
    numbers["gain"] = numbers["groups best"] - numbers["pairs best"]
    numbers["same winner"] = float(np.mean(same))
    numbers["same utility"] = float(np.mean(np.isclose(values["pairs"], values["groups"])))
    return numbers | measure_repeats(
        studio, Rules(options.group_size, most), seed, options.repeated
    )


def measure_repeats(studio: Studio, rules: Rules, seed: int, personas: int) -> dict[str, float]:
    """Several tournaments in groups a persona: how sure they are, and how right."""
    held = [play(studio, rules, seed, [studio.ids] * personas, n) for n in range(REPEATS)]
    sums = [sum_up(outcomes, seed) for outcomes in zip(*held, strict=True)]
    _, best, _ = judge(studio, [row["winner"] for row in sums])
    confidence = np.array([row["confidence"] for row in sums])
    return {
        "repeats confidence": confidence.mean(),
        "repeats best": best.mean(),
        "sure": np.mean(confidence == 1),
        "sure best": best[confidence == 1].mean() if (confidence == 1).any() else np.nan,
        "unsure best": best[confidence < 1].mean() if (confidence < 1).any() else np.nan,
    }


def show(found: Sequence[dict[str, float]], size: int) -> bool:
    """Print the table; whether every promise was kept."""
    rows = Rows()

    def add(what: str, name: str, scale: float = 1, promise: tuple[str, float] | None = None):
        rows.add(what, [scale * numbers[name] for numbers in found], promise=promise)

    for form, words in (("pairs", "pairs"), ("groups", f"groups of {size}")):
        add(f"{words}: calls a tournament", f"{form} calls")
        add("   in the 2(N - 1) that pairs need without noise, %", f"{form} of least", 100)
        add("   matches that a coin decided", f"{form} undecided")
        add("   winners that are the true best, %", f"{form} best", 100)
        add("   mean percentile of the winner's true utility, %", f"{form} percentile", 100)
    add("groups' calls in those of pairs, %", "share", 100, ("at most", 100 * SHARE))
    add("groups minus pairs: true best, % points", "gain", 100, ("at least", 0))
    add("half of the products pruned by two models: products kept, %", "kept", 100)
    add("   calls a tournament", "halves calls")
    add("   winners that are the true best, %", "halves best", 100)
    add("   the same, less that of all products, % points", "pruned gain", 100)
    add("   the winner's percentile under a model that pruned, %", "halves model", 100)
    add("   the same where nothing is pruned, %", "groups model", 100)
    add("both forms: the same winner (several may be best), %", "same winner", 100)
    add("   a winner of the same true utility, %", "same utility", 100)
    add(f"groups, {REPEATS} tournaments a persona: mean confidence", "repeats confidence")
    add("   winners that are the true best, %", "repeats best", 100)
    add("   personas with confidence 1, %", "sure", 100)
    add("   of these, the true best, %", "sure best", 100)
    add("   of the others, the true best, %", "unsure best", 100)
    return not rows.missed


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="0, 1, ... (default: 5)")
    parser.add_argument("--products", type=int, default=600, help="a tournament (default: 600)")
    parser.add_argument("--personas", type=int, default=100, help="a seed (default: 100)")
    parser.add_argument("--repeated", type=int, default=50, help="of them, for the confidence")
    parser.add_argument("--group-size", type=int, default=load_params().tournaments.group_size)
    options = parser.parse_args()
    print(
        f"{options.seeds} seeds, {options.personas} personas each, {options.products} products",
        flush=True,
    )
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(measure, options), range(options.seeds)))
    sys.exit(0 if show(found, options.group_size) else 1)


if __name__ == "__main__":
    main()
