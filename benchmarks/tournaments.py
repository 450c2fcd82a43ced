"""What tournaments in groups save over pairs, and whether they find the same winners.

On the studio, where the truth is known: for each seed a catalogue and personas are made up (nothing
is rendered), and the simulated teacher of params.yaml decides the matches. Both forms play for the
same personas; nothing of the project changes. Median and range over the seeds.

    python -m benchmarks.tournaments                  # five seeds, two minutes on two cores
    python -m benchmarks.tournaments --seeds 1 --personas 20
    python -m benchmarks.tournaments --group-size 8
"""

import argparse
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
from retrieval.wants import utilities

SHARE = 0.27  # of the pairwise calls, at most
REPEATS = 3


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
    return Studio(judges, [row["product_id"] for row in rows], found, ranker)


def play(studio: Studio, rules: Rules, seed: int, personas: int, number: int) -> list[Outcome]:
    """One tournament for each of the first so many personas."""
    entries = [
        Entry(
            one["persona_id"], studio.ids, derive_seed(seed, one["persona_id"], str(number)), number
        )
        for one in studio.personas[:personas]
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


def measure(options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Play both forms, and one of them again; every number that is printed."""
    params = load_params()
    studio = make_studio(params, seed, options.products, options.personas)
    most = params.tournaments.max_calls_per_match
    numbers: dict[str, float] = {}
    winners, values = {}, {}
    for form, size in (("pairs", 2), ("groups", options.group_size)):
        outcomes = play(studio, Rules(size, most), seed, options.personas, 0)
        winners[form] = [outcome.winner for outcome in outcomes]
        values[form], best, below = judge(studio, winners[form])
        numbers |= {
            f"{form} calls": np.mean([outcome.calls for outcome in outcomes]),
            f"{form} of least": np.mean([one.calls for one in outcomes])
            / (2 * options.products - 2),
            f"{form} best": best.mean(),
            f"{form} percentile": below.mean(),
            f"{form} undecided": np.mean([outcome.undecided for outcome in outcomes]),
        }
    same = [one == other for one, other in zip(winners["pairs"], winners["groups"], strict=True)]
    numbers["share"] = numbers["groups calls"] / numbers["pairs calls"]
    numbers["gain"] = numbers["groups best"] - numbers["pairs best"]
    numbers["same winner"] = float(np.mean(same))
    numbers["same utility"] = float(np.mean(np.isclose(values["pairs"], values["groups"])))
    return numbers | measure_repeats(
        studio, Rules(options.group_size, most), seed, options.repeated
    )


def measure_repeats(studio: Studio, rules: Rules, seed: int, personas: int) -> dict[str, float]:
    """Several tournaments in groups a persona: how sure they are, and how right."""
    held = [play(studio, rules, seed, personas, number) for number in range(REPEATS)]
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
