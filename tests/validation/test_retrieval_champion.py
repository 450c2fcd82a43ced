"""The gate beside a champion: the same verdicts as the rule, each with its reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.validation.evaluation import failed, judge, make
from validation.retrieval_champion import Answers, Comparison, Uncompared

pytestmark = pytest.mark.usefixtures("quick_docs")

RELATIONS = ("uncle", "aunt", "boss")


def beside(candidate: dict[str, Any], reference: dict[str, Any]) -> Comparison:
    """300 personas in three slices, 100 captions; a number stands for everyone's."""
    rng = np.random.default_rng(0)
    noise_Q = rng.normal(scale=0.05, size=300)

    def answers(levels: dict[str, Any]) -> Answers:
        percentile_Q = np.clip(levels.get("percentile", 0.8) + noise_Q, 0, 1)
        return Answers(
            personas={
                "percentile": percentile_Q,
                "within_kind_percentile": np.clip(levels.get("within", 0.7) + noise_Q, 0, 1),
                "recall@10": np.full(300, levels.get("recall", 1.0)),
            },
            captions={
                "recall@1": np.full(100, levels.get("caption", 1.0)),
                "recall@10": np.full(100, levels.get("caption", 1.0)),
            },
        )

    slices = [{"relation": RELATIONS[at % 3], "golfers": str(at // 290)} for at in range(300)]
    return Comparison(3, "c" * 64, slices, answers(candidate), answers(reference))


def test_a_candidate_equal_to_the_champion_passes_and_names_it(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make(), champion=beside({}, {}))
    assert verdict.passed, verdict.reasons
    assert verdict.champion == "c" * 64
    assert verdict.notes[1:] == [
        "compared with the champion, version 3, on 300 held-out personas and 100 held-out products",
        "concepts were not compared with the champion's: it was asked about other subjects",
    ]
    assert verdict.statistics["champion_mean_percentile"] == pytest.approx(0.8, abs=0.01)
    assert verdict.statistics["difference_mean_percentile"] == 0
    assert verdict.statistics["max_slice_drop"] == 0.05
    json.dumps(verdict.to_json(), allow_nan=False)


ONE_SLICE = np.where(np.arange(300) % 3 == 1, -0.12, 0.07)  # aunts lose, the mean gains 0.7 points

BESIDE_CHAMPION: dict[str, tuple[dict[str, Any], str, str]] = {
    "percentile": (
        {"percentile": 0.77},
        "champion.no_drop",
        "mean percentile: 76.8 % against 79.8 %",
    ),
    "within the kind": (
        {"within": 0.67},
        "champion.no_drop",
        "percentile within the kind: 66.8 % against 69.8 %",
    ),
    "recall": ({"recall": 0.5}, "champion.no_drop", "recall@10: 50.0 % against 100.0 %"),
    "captions": ({"caption": 0.9}, "champion.no_drop", "caption recall@1: 90.0 % against 100.0"),
    "a slice": (
        {"percentile": 0.8 + ONE_SLICE},
        "champion_slices.no_drop",
        "1 of 4 rows at fault (slice relation=aunt: 68.",
    ),
}


@pytest.mark.parametrize("name", BESIDE_CHAMPION)
def test_what_is_worse_than_the_champion_is_named(tmp_path: Path, name: str) -> None:
    candidate, caught_by, told = BESIDE_CHAMPION[name]
    verdict = judge(tmp_path, make(), champion=beside(candidate, {}))
    assert failed(verdict) == {caught_by}
    assert told in verdict.reasons[0]


def test_a_champion_that_cannot_be_evaluated_fails_with_the_reason(tmp_path: Path) -> None:
    fault = "weights: got no such file"
    verdict = judge(tmp_path, make(), champion=Uncompared(3, "c" * 64, fault))
    assert failed(verdict) == {"champion.compared"}
    assert f"version 3 cannot be compared with: {fault}" in verdict.reasons[0]
    assert verdict.champion == "c" * 64


def test_equal_inputs_give_equal_verdicts(tmp_path: Path) -> None:
    def verdict() -> str:
        made = judge(tmp_path, make(), champion=beside({"percentile": 0.7}, {}))
        return json.dumps(made.to_json())

    assert verdict() == verdict()
