"""What fits catalogues of several sizes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.run.params import Params, WishShares
from pipelines.setup.files import Files
from pipelines.setup.forecast import forecast, tournament_calls
from pipelines.setup.gates import gate_limits
from pipelines.setup.plan import groups_of, make_plan
from pipelines.setup.report import describe_doubts
from pipelines.setup.sizes import Parts, Sizes, choose_split, measure, parts
from pipelines.setup.survey import Found, Product
from pipelines.tables.rows import Row

CONTENT = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())
PARAMS = Params.model_validate(CONTENT)
NONE_HELD_OUT = WishShares(val=0.0, test=0.0)
MANY = Sizes(
    split={"train": 0.86, "val": 0.04, "test": 0.1},
    products=Parts(4300, 200, 500),
    personas=Parts(6880, 320, 800),
    known_test=800,
    distinct_captions=300,
    simulated=True,
    one_attribute=False,
)
FEW = replace(
    MANY, products=Parts(33, 9, 18), personas=Parts(11, 3, 6), known_test=6, distinct_captions=60
)


@pytest.mark.parametrize(
    ("products", "personas", "test"),
    [(60, 20, 0.3), (1400, 190, 0.26), (5000, 8000, 0.1), (0, 0, 0.3)],
)
def test_the_test_gets_fifty_personas_and_a_hundred_products_where_it_can(
    products: int, personas: int, test: float
) -> None:
    split = choose_split(products, personas)
    assert split["test"] == test
    assert sum(split.values()) == pytest.approx(1)
    assert split["train"] >= 0.55


def test_rows_that_name_a_split_keep_it() -> None:
    split = {"train": 0.6, "val": 0.1, "test": 0.3}
    assert parts(["train"] * 5 + ["base"] * 7 + [""] * 10, split) == Parts(11, 1, 3)


@pytest.mark.parametrize("train", [10, 33, 75, 900, 40_000])
def test_groups_fit_the_products(train: int) -> None:
    sizes = replace(MANY, products=Parts(train, 10, 10), personas=Parts(40, 10, 10))
    groups, bands = groups_of(sizes)
    assert 2 <= sum(bands) <= train / 2
    assert 40 <= groups <= 900
    assert (train == 40_000) == (groups == 900)


def test_a_large_catalogue_keeps_the_limits_of_params_yaml() -> None:
    for key, value, _ in gate_limits(MANY, groups_of(MANY)):
        section, name = key.split(".")
        assert value == CONTENT[section][name], key


def test_a_small_one_gets_limits_that_it_can_meet() -> None:
    limits = {key.split(".")[1]: value for key, value, _ in gate_limits(FEW, groups_of(FEW))}
    assert limits["min_rankings"] <= groups_of(FEW)[0]
    assert limits["min_personas"] <= FEW.personas.train
    assert limits["min_queries"] <= FEW.personas.test
    # 0.8 less two standard errors of six personas' mean: 2 x 0.25 / sqrt(6) = 0.204
    assert limits["min_mean_percentile"] == 0.6
    assert limits["max_caption_drop"] == 0.11  # two captions of eighteen


def test_no_limit_is_raised() -> None:
    for sizes in (FEW, MANY, replace(FEW, one_attribute=True), replace(MANY, distinct_captions=0)):
        for key, value, _ in gate_limits(sizes, groups_of(sizes)):
            section, name = key.split(".")
            stricter = (
                value > CONTENT[section][name]
                if name.startswith("min")
                else value < CONTENT[section][name]
            )
            assert not stricter, key


def test_wants_of_one_attribute_say_nothing_within_a_kind() -> None:
    limits = {
        key: value for key, value, _ in gate_limits(replace(MANY, one_attribute=True), (900, [4]))
    }
    assert limits["check_retrieval.min_within_kind_percentile"] == 0
    assert limits["check_retrieval.min_recall_at_10"] == 0


def wordless(count: int) -> Found:
    """Products without captions, nobody who wants them."""
    rows = [Row(number, {}) for number in range(count)]
    products = [Product(row, f"{row.number}.jpg", "", "", "", False, {}, "") for row in rows]
    return Found(Path("mine"), Files([], [], Counter()), None, count, products)


def planned(found: Found, params: Params) -> dict[str, Any]:
    lines = make_plan(found, measure(found, NONE_HELD_OUT), params, Path())
    return {line.key: line.value for line in lines}


@pytest.mark.parametrize(
    ("now", "then"),
    [("given", "openai"), ("openai", "openai"), ("transformers", "transformers")],
)
def test_words_that_are_missing_are_written_by_whom_the_user_chose(now: str, then: str) -> None:
    captions = PARAMS.captions.model_copy(update={"kind": now})
    personas = PARAMS.personas.model_copy(update={"kind": now})
    changes = {"captions": captions, "personas": personas}
    plan = planned(wordless(60), PARAMS.model_copy(update=changes))
    assert (plan["captions.kind"], plan["personas.kind"]) == (then, then)
    assert plan["personas.count"] == 200


def test_what_is_held_out_is_taken_from_training_and_judged_apart() -> None:
    """Of 200 personas to write 30 are held out for validation and 30 for the test; 140 are split
    0.55, 0.15 and 0.3.
    """
    sizes = measure(wordless(60), WishShares(val=0.15, test=0.15))
    assert sizes.split == {"train": 0.55, "val": 0.15, "test": 0.3}
    assert sizes.personas == Parts(77, 21 + 30, 42 + 30)
    assert sizes.known_test == 42


def test_words_are_in_the_forecast() -> None:
    """A call a caption; one for 20 interests, and one for each: 1.25 x 95 / 20 are 6 wishes."""
    wishes = {"kind": "openai", "count": 95, "interests": 20, "wishes_per_call": 10}
    words = {
        "captions": PARAMS.captions.model_copy(update={"kind": "openai"}),
        "personas": PARAMS.personas.model_copy(update=wishes),
    }
    prices = {"usd_per_million_input_tokens": 1.0, "usd_per_million_output_tokens": 0.0}
    teacher = PARAMS.teacher.model_copy(update={"kind": "openai", **prices})
    found = wordless(60)
    sizes = measure(found, NONE_HELD_OUT)
    taken = forecast(found, sizes, PARAMS.model_copy(update={"teacher": teacher, **words}))
    calls = {need.what: need.calls for need in taken.needs}
    assert (calls["captions"], calls["personas"]) == (60, 21)
    assert taken.priced
    everything = sum(calls.values())
    assert taken.asking_seconds == pytest.approx(3 * everything / teacher.openai.concurrency)
    tokens = sum(need.calls * need.input_tokens for need in taken.needs)
    assert taken.cost_usd == pytest.approx(tokens / 1e6)


def test_what_few_cannot_tell_is_said() -> None:
    """2 x 0.25 / sqrt(6) is 20 points."""
    said = describe_doubts(replace(FEW, one_attribute=True)).splitlines()
    assert said[0].startswith(
        "note: 6 personas in the test: chance moves their mean percentile by 20"
    )
    assert len(said) == 3
    assert describe_doubts(MANY) == ""


def test_calls_of_tournaments_are_about_those_that_were_counted() -> None:
    """Sixty photos, measured with the simulated teacher: 220 calls for nine personas."""
    fives = PARAMS.tournaments.model_copy(update={"group_size": 5})
    params = PARAMS.model_copy(update={"tournaments": fives})
    assert tournament_calls(FEW, params) == pytest.approx(220, rel=0.1)
