from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.labelling.held_out_groups import known_groups, plan_groups, rank_groups
from pipelines.labelling.teachers.from_file import FileTeacher
from pipelines.labelling.teachers.protocol import Reply
from pipelines.run.params import load_params
from retrieval.storage.schema import RANKINGS, write_rows

PRODUCTS = [
    {"product_id": str(number), "split": "test" if number < 40 else "val"} for number in range(60)
]


def _tournament(persona, split="test", finalists=("3", "5", "8", "13")):
    return {"persona_id": persona, "split": split, "finalists": list(finalists)}


TOURNAMENTS = [_tournament("ann"), _tournament("val", "val", ["41"]), _tournament("bob")]


def _params(seed=0, **changes):
    params = load_params()
    settings = params.tournaments.model_copy(update=changes)
    return params.model_copy(update={"tournaments": settings, "seed": seed})


class ByNumber:
    """Ranks by number, as long as the budget lasts; never for bob."""

    name = "by-number"

    def __init__(self, budget=100):
        self.budget = budget

    def rank(self, requests):
        replies = []
        for number, request in enumerate(requests):
            order = tuple(sorted(request.presented, key=int, reverse=True))
            reply = Reply(f"digest {number}", None if request.persona_id == "bob" else order)
            replies.append(reply if number < self.budget else None)
        return replies


@pytest.mark.parametrize(("size", "finalists"), [(2, 1), (3, 1), (4, 2), (5, 2), (12, 2)])
def test_a_group_holds_some_finalists_and_other_test_products(size, finalists):
    requests = plan_groups(_params(group_size=size, held_out_groups=30), TOURNAMENTS, PRODUCTS)
    assert Counter(request.persona_id for request in requests) == {"ann": 30, "bob": 30}
    for request in requests:
        shown = set(request.presented)
        assert len(shown) == len(request.presented) == min(size, 5)
        assert shown <= {str(number) for number in range(40)}
        assert len(shown & {"3", "5", "8", "13"}) >= finalists
    assert len({request.presented for request in requests}) > 50  # drawn anew each time
    places = Counter(r.presented.index(p) for r in requests for p in r.presented if p in "358")
    assert set(places) == set(range(min(size, 5)))  # finalists stand anywhere on the page


def test_groups_follow_from_the_seed_and_ask_what_no_match_asks():
    params = _params(repeats=2, max_calls_per_match=6, held_out_groups=2)
    requests = plan_groups(params, TOURNAMENTS, PRODUCTS)
    assert requests == plan_groups(params, TOURNAMENTS, PRODUCTS)
    assert requests != plan_groups(_params(seed=1, held_out_groups=2), TOURNAMENTS, PRODUCTS)
    # Tournament n asks with repeat 3 n + 0, 1, 2.
    assert sorted({request.repeat for request in requests}) == [6, 7]


def test_a_group_is_the_same_whoever_else_has_one():
    alone = plan_groups(_params(), TOURNAMENTS[2:], PRODUCTS)
    assert alone == plan_groups(_params(), TOURNAMENTS, PRODUCTS)[1:]


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 0), (2, 2), (4, 4)])
def test_a_few_products_make_smaller_groups_or_none(count, size):
    tournament = _tournament("ann", finalists=[str(number) for number in range(count)])
    requests = plan_groups(_params(), [tournament], PRODUCTS[:count])
    assert [len(request.presented) for request in requests] == ([size] if size else [])


def test_rows_fit_the_table_with_and_without_a_label(tmp_path):
    rows = rank_groups(_params(held_out_groups=2), None, ByNumber(), TOURNAMENTS, PRODUCTS)
    write_rows(tmp_path / "t.parquet", rows, RANKINGS)
    assert [row["persona_id"] for row in rows] == ["ann", "ann", "bob", "bob"]
    assert len({row["group_id"] for row in rows}) == 4
    for row in rows[:2]:
        assert row["ranking"] == sorted(row["presented"], key=int, reverse=True)
    assert [row["ranking"] for row in rows[2:]] == [[], []]


def test_where_the_budget_ends_groups_are_left_out():
    rows = rank_groups(_params(held_out_groups=2), None, ByNumber(3), TOURNAMENTS, PRODUCTS)
    assert len(rows) == 3
    assert rank_groups(_params(held_out_groups=0), None, ByNumber(), TOURNAMENTS, PRODUCTS) == []


def test_a_file_is_asked_for_what_it_has(tmp_path):
    orders = [("ann", "1 2 3"), ("ann", "1 2 50"), ("val", "1 2 3"), ("bob", "7 6")]
    columns = {
        "persona_id": [persona for persona, _ in orders],
        "presented": [order.split() for _, order in orders],
        "ranking": [order.split()[::-1] for _, order in orders],
    }
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table(columns), path)
    params = load_params().teacher
    file = params.file.model_copy(update={"path": path})
    personas = [{"persona_id": name} for name in ("ann", "bob", "val")]
    teacher = FileTeacher(params.model_copy(update={"file": file}), personas, PRODUCTS)
    groups = known_groups(teacher, TOURNAMENTS, PRODUCTS)
    assert [(g.persona_id, " ".join(g.presented)) for g in groups] == [orders[0], orders[3]]
    rows = rank_groups(_params(), teacher, ByNumber(), TOURNAMENTS, PRODUCTS)
    assert [row["presented"] for row in rows] == [["1", "2", "3"], ["7", "6"]]
