"""Groups that the teacher ranks for held-out personas: an order, where knockouts tell winners.

No model picks what is in a group, so none is favoured: some of the persona's finalists, and
products at random. Random ones alone would mostly be bad matches, in whose order there is little to
get right.
"""

from collections.abc import Sequence

import numpy as np

from pipelines.labelling.teachers.asking import Ranker
from pipelines.labelling.teachers.from_file import FileTeacher
from pipelines.labelling.teachers.protocol import Request, Teacher, ranking_row
from pipelines.run.params import Params
from pipelines.run.stage import derive_seed
from retrieval.storage.schema import ProductRow, RankingRow, TournamentRow

SPLIT = "test"
MOST = 5  # products of a group: in a larger one most are random ones, all of them bad matches
MOST_FINALISTS = 2  # in a group; half of a smaller group


def plan_groups(
    params: Params, tournaments: Sequence[TournamentRow], products: Sequence[ProductRow]
) -> list[Request]:
    """As many groups a test persona as `tournaments.held_out_groups`, in random order each.

    None of products of which there are fewer than two.
    """
    settings = params.tournaments
    ids = [product["product_id"] for product in products if product["split"] == SPLIT]
    if len(ids) < 2:
        return []
    size = min(settings.group_size, MOST, len(ids))
    after = settings.repeats * settings.max_calls_per_match // 2  # no match of it asks the same
    return [
        Request(row["persona_id"], _draw(params, row, ids, size, number), after + number)
        for row in tournaments
        if row["split"] == SPLIT
        for number in range(settings.held_out_groups)
    ]


def _draw(
    params: Params, tournament: TournamentRow, ids: Sequence[str], size: int, number: int
) -> tuple[str, ...]:
    persona = tournament["persona_id"]
    rng = np.random.default_rng(derive_seed(params.seed, "held_out_groups", persona, str(number)))
    count = min(MOST_FINALISTS, size // 2)
    chosen = rng.permutation(np.array(tournament["finalists"]))[:count].tolist()
    others = [
        product for product in rng.permutation(np.array(ids)).tolist() if product not in chosen
    ]
    shown = chosen + others[: size - len(chosen)]
    return tuple(shown[place] for place in rng.permutation(size))


def known_groups(
    teacher: FileTeacher, tournaments: Sequence[TournamentRow], products: Sequence[ProductRow]
) -> list[Request]:
    """What the file ranks for test personas over test products: it can be asked nothing else."""
    people = {row["persona_id"] for row in tournaments if row["split"] == SPLIT}
    shown = {product["product_id"] for product in products if product["split"] == SPLIT}
    return [
        group
        for group in teacher.known_groups()
        if group.persona_id in people and shown.issuperset(group.presented)
    ]


def rank_groups(
    params: Params,
    teacher: Teacher,
    ranker: Ranker,
    tournaments: Sequence[TournamentRow],
    products: Sequence[ProductRow],
) -> list[RankingRow]:
    """Ask for the order of each group; one that the budget ended before is left out.

    Args:
        params: How many groups, and of what size.
        teacher: Who is asked.
        ranker: The way to ask: with journal and budget.
        tournaments: Whose groups, and who was in the last rounds.
        products: What they show.
    """
    if isinstance(teacher, FileTeacher):
        requests = known_groups(teacher, tournaments, products)
    else:
        requests = plan_groups(params, tournaments, products)
    replies = ranker.rank(requests) if requests else []
    return [
        ranking_row(f"held-out-{number:05d}", request, reply, ranker.name)
        for number, (request, reply) in enumerate(zip(requests, replies, strict=True))
        if reply is not None
    ]
