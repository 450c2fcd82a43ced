from typing import Any

import pandas as pd

from retrieval.storage.schema import AUDITS, RANKINGS
from validation.label_tables import (
    Catalogue,
    Truth,
    coverage,
    describe_audits,
    describe_groups,
    judgements,
    newest,
    pairs,
    repeats,
    winners_of_two_cycles,
)

TRUTH = Truth({"p": {"color=red": 1.0}}, {"a": {"color": "red"}, "b": {"color": "blue"}})
GROUPS = [
    ("c1-1", "p", ["a", "b"], ["a", "b"]),  # first place wins, right
    ("c1-2", "p", ["b", "a"], ["b", "a"]),  # first place wins, wrong
    ("c2-1", "p", ["b", "a"], ["a", "b"]),  # second place wins, right
    ("c2-2", "q", ["a", "b"], []),  # no label
]


def rankings(rows: Any = GROUPS) -> pd.DataFrame:
    return pd.DataFrame([(*row, "t", "0") for row in rows], columns=RANKINGS.names)


def audits(*rows: Any) -> pd.DataFrame:
    """Rows of group_id, kind, persona_id, presented, ranking."""
    table = [(str(i), *row, "t", "0") for i, row in enumerate(rows)]
    return describe_audits(pd.DataFrame(table, columns=AUDITS.names), rankings())


def test_utility_by_hand() -> None:
    truth = Truth(
        wants={"p": {"color=red": 1.0, "motif=cat": 0.5, "scene=sea": 2.0}, "q": {}},
        attributes={"x": {"color": "red", "motif": "cat", "scene": "plain"}, "y": {}},
    )
    assert truth.utilities("p", ["x", "y"]) == [1.5, 0]
    assert truth.knows("p")
    assert not truth.knows("q")
    assert not truth.knows("stranger")


def test_groups_by_hand() -> None:
    groups = describe_groups(rankings(), TRUTH)
    assert groups["winner_position"].tolist() == [1, 1, 2, 0]
    assert groups["no_label"].tolist() == [0, 0, 0, 1]
    assert groups["truth_agreement"].tolist()[:3] == [1, 0, 1]
    assert groups["truth_agreement"].isna().tolist() == [False, False, False, True]
    assert groups["cycle"].tolist() == ["c1", "c1", "c2", "c2"]
    assert newest(groups)["group_id"].tolist() == ["c2-1", "c2-2"]


def test_a_group_with_an_unknown_product_or_persona_is_not_judged() -> None:
    rows = [("c1-1", "p", ["a", "z"], ["a", "z"]), ("c1-2", "stranger", ["a", "b"], ["a", "b"])]
    assert describe_groups(rankings(rows), TRUTH)["truth_agreement"].isna().all()


def test_a_cycle_may_hold_a_hyphen() -> None:
    groups = describe_groups(rankings([("warm-up-00001", "p", ["a", "b"], ["a", "b"])]), TRUTH)
    assert groups["cycle"].tolist() == ["warm-up"]


def test_repeats_are_of_labels_about_the_same_pictures() -> None:
    table = repeats(
        audits(
            ("c1-1", "group", "p", ["b", "a"], ["b", "a"]),
            ("c1-2", "group", "p", ["a", "b"], []),  # no label
            ("c2-2", "group", "q", ["b", "a"], ["b", "a"]),  # the group has none
            ("c1-1", "group", "p", ["b", "z"], ["b", "z"]),  # other pictures
            ("c1-1", "pair", "p", ["b", "a"], ["b", "a"]),
        )
    )
    assert table.to_dict("records") == [
        {"group_id": "c1-1", "first": ["a", "b"], "again": ["b", "a"]}
    ]


def test_pairs_agree_where_one_picture_wins_both_orders() -> None:
    table = pairs(
        audits(
            ("c1-1", "pair", "p", ["a", "b"], ["a", "b"]),
            ("c1-1", "pair", "p", ["b", "a"], ["a", "b"]),
            ("c1-2", "pair", "p", ["a", "b"], ["a", "b"]),
            ("c1-2", "pair", "p", ["b", "a"], ["b", "a"]),
            ("c2-1", "pair", "p", ["a", "b"], ["a", "b"]),  # the other order has no label
            ("c2-1", "pair", "p", ["b", "a"], []),
        )
    )
    assert dict(zip(table["group_id"], table["met"], strict=True)) == {"c1-1": True, "c1-2": False}


def test_an_audit_belongs_to_its_group() -> None:
    table = audits(
        ("c1-1", "group", "p", ["b", "a"], ["b", "a"]),
        ("c1-1", "pair", "p", ["b", "a"], ["b", "a"]),
        ("c1-1", "group", "p", ["a"], ["a"]),  # not all of its pictures
        ("c1-1", "pair", "p", ["a", "z"], ["a", "z"]),
        ("c1-1", "group", "q", ["b", "a"], ["b", "a"]),
        ("c9-1", "group", "p", ["b", "a"], ["b", "a"]),
    )
    assert table["of_its_group"].tolist() == [True, True, False, False, False, False]


def test_judgements_are_the_labels_of_groups_and_audits() -> None:
    asked = audits(
        ("c1-1", "group", "p", ["b", "a"], ["b", "a"]), ("c1-2", "group", "p", ["a", "b"], [])
    )
    groups = describe_groups(rankings(), TRUTH)
    expected = [["a", "b"], ["b", "a"], ["a", "b"]]
    assert judgements(groups, asked)["ranking"].tolist() == [*expected, ["b", "a"]]
    assert judgements(groups, audits())["ranking"].tolist() == expected


def test_coverage_by_hand() -> None:
    groups = describe_groups(rankings(), TRUTH)
    table = coverage(groups, Catalogue(["a", "z"], ["p", "nobody"], {}))
    assert table.to_dict("records") == [
        {"kind": "product", "id": "a", "times": 4},
        {"kind": "product", "id": "z", "times": 0},
        {"kind": "persona", "id": "p", "times": 3},
        {"kind": "persona", "id": "nobody", "times": 0},
    ]


def test_winners_of_the_last_two_cycles() -> None:
    rows = [("c0-1", "p", ["a", "b"], ["b", "a"]), *GROUPS]
    groups = describe_groups(rankings(rows), TRUTH)
    assert winners_of_two_cycles(groups, {"a": "mug"}) == (["mug", ""], ["mug"])
    assert winners_of_two_cycles(groups[:1], {}) == ([], [""])
    assert winners_of_two_cycles(groups[:0], {}) == ([], [])
