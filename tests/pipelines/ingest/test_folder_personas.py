"""Personas of a user's folder."""

from typing import Any

import pytest

PERSONA = {"persona_id": "p1", "text": "a gift for a gardener", "wants": {"colour=red": 1}}


def test_personas_are_read(folder: Any) -> None:
    more = {"paraphrase": " for one who grows plants", "facets": {"interest": "garden", "age": 70}}
    rows = [PERSONA | {"split": "val"} | more, {"persona_id": 2, "text": " who sails "}]
    catalog = folder.read_personas(*rows)
    assert catalog.rejects == []
    assert catalog.personas == [
        {
            "persona_id": "p1",
            "text": "a gift for a gardener",
            "split": "val",
            "wants": {"colour=red": 1.0},
            "paraphrase": "for one who grows plants",
            "facets": {"interest": "garden", "age": "70"},
        },
        {
            "persona_id": "2",
            "text": "who sails",
            "split": "",
            "wants": {},
            "paraphrase": "",
            "facets": {},
        },
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"persona_id": ""}, "persona_id is missing or blank"),
        ({"persona_id": "p1"}, "persona_id 'p1' is already that of row 1"),
        ({"text": " "}, "text is missing or blank"),
        ({"text": "A gift  for a\tGARDENER"}, "text is that of row 1"),
        ({"split": "dev"}, "split is 'dev', expected"),
        ({"split": "base"}, "split is 'base', expected train, val, test or blank"),
        ({"paraphrase": ["a"]}, "paraphrase is ['a'] (list), expected text"),
        ({"facets": ["garden"]}, 'facets is [\'garden\'], expected {"name": "value"}'),
        ({"facets": {"": "x"}}, "facets has names [''], expected none blank or twice"),
        ({"facets": {"a": "x", " a": "y"}}, "facets has names ['a', ' a'], expected none"),
        ({"facets": {"a": ["x"]}}, "a name or value of facets is ['x'] (list), expected text"),
        ({"wants": ["colour=red"]}, "wants is ['colour=red'], expected {\"attribute=value\""),
        ({"wants": {"red": 1}}, "wants holds 'red': 1, expected attribute=value"),
        ({"wants": {"colour=": 1}}, "wants holds 'colour=': 1"),
        ({"wants": {"colour = red": 1}}, "wants holds 'colour = red': 1"),
        ({"wants": {"a=\ud800": 1}}, "wants holds"),
        ({"wants": {"a=b": 0}}, "wants holds 'a=b': 0"),
        ({"wants": {"a=b": -2.5}}, "wants holds 'a=b': -2.5"),
        ({"wants": {"a=b": "1"}}, "wants holds 'a=b': '1'"),
        ({"wants": {"a=b": True}}, "wants holds 'a=b': True"),
        ({"wants": {"a=b": None}}, "wants holds 'a=b': None"),
        ({"wants": {"a=b": 10**400}}, "wants holds 'a=b'"),
    ],
)
def test_a_faulty_persona_is_rejected_alone(
    folder: Any, changes: dict[str, Any], reason: str
) -> None:
    row = {"persona_id": "p2", "text": "a gift for a sailor"} | changes
    last = {"persona_id": "p3", "text": "a gift for a cook"}
    catalog = folder.read_personas(PERSONA, row, last)
    assert [persona["persona_id"] for persona in catalog.personas] == ["p1", "p3"]
    assert [(reject.file, reject.row) for reject in catalog.rejects] == [("personas.jsonl", 2)]
    assert reason in catalog.rejects[0].reason


def test_a_weight_beyond_every_float_is_rejected(folder: Any) -> None:
    (folder.path / "personas.jsonl").write_text(
        '{"persona_id": "a", "text": "t", "wants": {"a=b": 1e999}}\n'
        '{"persona_id": "b", "text": "u", "wants": {"a=b": Infinity}}\n'
    )
    assert list(folder.reasons(folder.read_products(folder.product(1)))) == [1, 2]


def test_missing_personas_show_an_example(folder: Any) -> None:
    (folder.path / "personas.jsonl").unlink()
    with pytest.raises(SystemExit, match=r'personas\.jsonl is missing.*\n\{"persona_id"'):
        folder.read_products(folder.product(1))


def test_wants_that_no_product_meets_are_logged(
    folder: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder.read_products(folder.product(1, **{"attr.colour": "red"}))
    assert "no product has" not in caplog.text
    folder.read_products(folder.product(1, **{"attr.colour": "blue"}))
    assert "1 of 1 different wants name what no product has, such as 'colour=red'" in caplog.text
