"""What fits catalogues of several sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipelines.run.params import Params
from pipelines.setup.forecast import tournament_calls
from pipelines.setup.gates import gate_limits
from pipelines.setup.plan import groups_of
from pipelines.setup.sizes import Parts, Sizes, choose_split, parts

PARAMS = Params.model_validate(
    yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())
)
MANY = Sizes(
    split={"train": 0.86, "val": 0.04, "test": 0.1},
    products=Parts(4300, 200, 500),
    personas=Parts(6880, 320, 800),
    distinct_captions=300,
    simulated=True,
    one_attribute=False,
)
FEW = replace(MANY, products=Parts(33, 9, 18), personas=Parts(11, 3, 6), distinct_captions=60)


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
    content = PARAMS.model_dump(by_alias=True)
    for key, value, _ in gate_limits(MANY, groups_of(MANY)):
        section, name = key.split(".")
        assert value == content[section][name], key


def test_a_small_one_gets_limits_that_it_can_meet() -> None:
    limits = {key.split(".")[1]: value for key, value, _ in gate_limits(FEW, groups_of(FEW))}
    assert limits["min_rankings"] <= groups_of(FEW)[0]
    assert limits["min_personas"] <= FEW.personas.train
    assert limits["min_queries"] <= FEW.personas.test
    # 0.8 less two standard errors of six personas' mean: 2 x 0.25 / sqrt(6) = 0.204
    assert limits["min_mean_percentile"] == 0.6
    assert limits["max_caption_drop"] == 0.11  # two captions of eighteen


def test_no_limit_is_raised() -> None:
    content = PARAMS.model_dump(by_alias=True)
    for sizes in (FEW, MANY, replace(FEW, one_attribute=True), replace(MANY, distinct_captions=0)):
        for key, value, _ in gate_limits(sizes, groups_of(sizes)):
            section, name = key.split(".")
            stricter = (
                value > content[section][name]
                if name.startswith("min")
                else value < content[section][name]
            )
            assert not stricter, key


def test_wants_of_one_attribute_say_nothing_within_a_kind() -> None:
    limits = {
        key: value for key, value, _ in gate_limits(replace(MANY, one_attribute=True), (900, [4]))
    }
    assert limits["check_retrieval.min_within_kind_percentile"] == 0
    assert limits["check_retrieval.min_recall_at_10"] == 0


def test_calls_of_tournaments_are_about_those_that_were_counted() -> None:
    """Sixty photos, measured with the simulated teacher: 220 calls for nine personas."""
    assert tournament_calls(FEW, PARAMS) == pytest.approx(220, rel=0.1)
