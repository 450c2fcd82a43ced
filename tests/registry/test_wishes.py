import pytest

from registry.wishes import choose, find_wishes


@pytest.mark.parametrize(
    ("orders", "chosen"),
    [
        ([], []),
        ([list("abcdefghijkl")], ["a", "b", "c"]),
        ([list("abcde")], ["a", "b"]),  # 1 / 5 of the group stands before b, 2 / 5 before c
        ([["a", "b"]], ["a"]),
        ([["a", "b"], ["b", "a"]], []),  # each won once: 1/4 on average, not in the best quarter
        ([["a", "b"], ["a", "b"], ["b", "a"]], ["a"]),  # a 1/6, b 1/3
        ([["a", "x"], ["b", "x"], ["b", "y"]], ["b", "a"]),  # equal places: b won more often
        ([["d", "x"], ["c", "x"], ["b", "x"], ["a", "x"]], ["a", "b", "c"]),
        ([list("abcd"), list("bcda")], ["b"]),  # b 1/8, a 3/8
    ],
)
def test_what_rankings_put_first(orders: list[list[str]], chosen: list[str]) -> None:
    assert choose(orders) == chosen


def test_wishes_are_training_personas_with_a_label() -> None:
    def person(id_: str, split: str = "train") -> dict:
        return {"persona_id": id_, "text": f"text of {id_}", "split": split}

    def ranked(id_: str, ranking: list[str]) -> dict:
        return {"persona_id": id_, "ranking": ranking}

    people = [person("z"), person("a"), person("unasked"), person("failed"), person("t", "test")]
    rankings = [
        ranked("z", ["p", "q"]),
        ranked("a", ["q", "p"]),
        ranked("failed", []),
        ranked("t", ["p", "q"]),
    ]
    assert find_wishes(people, rankings) == [
        {"persona_id": "a", "text": "text of a", "chosen": ["q"]},
        {"persona_id": "z", "text": "text of z", "chosen": ["p"]},
    ]
