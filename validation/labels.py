"""The gate on a teacher's rankings: are they rankings, and of the pictures, not of the page?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval.schema import RANKINGS
from retrieval.wants import utilities
from validation.gate import Verdict, run_gate
from validation.suite import Requirement, Suite

_TIE = 1e-9  # utilities nearer than this are equal: sums of the same weights differ by rounding
_DERIVED = {
    "group_size": "int64",
    "presented_is_distinct": "bool",
    "no_label": "float64",  # 1 where the teacher gave no ranking
    "is_permutation": "bool",
    "winner_position": "int64",  # 1 = presented first; 0 = no winner, or one that was not presented
    "truth_agreement": "float64",  # NaN where the truth is not known or decides no pair
}
_SEE_JOURNAL = "look at the replies in var/teacher and at the stage `label`"


@dataclass(frozen=True)
class LabelLimits:
    """The numbers of section `check_labels` in params.yaml, where each is explained."""

    min_rankings: int
    min_personas: int
    max_failure_rate: float
    max_position_share: float
    min_truth_agreement: float


@dataclass(frozen=True)
class Truth:
    """What is known of the right answer; personas without wants have none."""

    wants: Mapping[str, Mapping[str, float]]  # persona_id -> "attribute=value" -> weight
    attributes: Mapping[str, Mapping[str, str]]  # product_id -> attribute -> value

    def knows(self, persona: str) -> bool:
        """Whether the persona has wants."""
        return bool(self.wants.get(persona))

    def utilities(self, persona: str, products: Sequence[str]) -> list[float]:
        """How much of the persona's wants each product meets."""
        attributes = [self.attributes[product] for product in products]
        return [float(utility) for utility in utilities(self.wants[persona], attributes)]


def check_labels(
    rankings: pd.DataFrame,
    truth: Truth,
    limits: LabelLimits,
    docs: Path,
    inputs: Mapping[str, str],
) -> Verdict:
    """Judge a table of rankings, and write Data Docs into `docs`. Raises as `run_gate`."""
    groups = describe_groups(rankings, truth)
    suites = [_groups_suite(groups, limits), _rankings_suite(groups, limits)]
    notes: list[str] = []
    if any(truth.knows(row.get("persona_id", "")) for row in rankings.to_dict("records")):
        suites.append(_truth_suite(groups, limits))
    else:
        notes.append("agreement with the truth was not checked: no persona here has wants")
    verdict = run_gate("labels", suites, docs, inputs)
    return replace(verdict, statistics=label_statistics(groups), notes=notes)


def pairwise_agreement(worth: Sequence[float]) -> float:
    """The share of pairs with different utility that stand in the right order, best first.

    Args:
        worth: True utilities in the order of the ranking.

    Returns:
        A number in [0, 1]; NaN where no pair differs.
    """
    pairs = [(a, b) for a, b in combinations(worth, 2) if abs(a - b) > _TIE]
    return sum(a > b for a, b in pairs) / len(pairs) if pairs else float("nan")


def describe_groups(rankings: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """The table with the columns that the expectations look at; a missing column stays missing."""
    rows = [_describe_group(row, truth) for row in rankings.to_dict("records")]
    derived = pd.DataFrame(rows, columns=list(_DERIVED)).astype(_DERIVED)
    return pd.concat([rankings.reset_index(drop=True), derived], axis=1)


def label_statistics(groups: pd.DataFrame) -> dict[str, int | float | None]:
    """The numbers behind the verdict, of what `describe_groups` gives; None where undefined."""
    answers = _answers(groups)
    agreement = groups["truth_agreement"].dropna()
    return {
        "groups": len(groups),
        "rankings": len(answers),
        "personas": answers["persona_id"].nunique() if "persona_id" in answers else None,
        "failure_rate": _or_none(groups["no_label"].mean()),
        "max_position_share": _or_none(answers["position_share"].max()),
        "judged_groups": len(agreement),
        "truth_agreement": _or_none(agreement.mean()),
    }


def _describe_group(row: Mapping[Any, Any], truth: Truth) -> dict[str, Any]:
    presented, ranking = (_as_list(row.get(name)) for name in ("presented", "ranking"))
    is_permutation = Counter(presented) == Counter(ranking)
    won = ranking[0] if ranking else None
    known = is_permutation and truth.knows(row.get("persona_id", ""))
    known = known and all(product in truth.attributes for product in ranking)
    worth = truth.utilities(row["persona_id"], ranking) if known else []
    return {
        "group_size": len(presented),
        "presented_is_distinct": len(set(presented)) == len(presented),
        "no_label": float(not ranking),
        "is_permutation": is_permutation,
        "winner_position": presented.index(won) + 1 if won in presented else 0,
        "truth_agreement": pairwise_agreement(worth),
    }


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _answers(groups: pd.DataFrame) -> pd.DataFrame:
    """The groups with a ranking; `position_share`: of all of them, won from the same position."""
    answers = groups[groups["no_label"] == 0]
    shares = answers["winner_position"].value_counts(normalize=True)
    return answers.assign(position_share=answers["winner_position"].map(shares).astype("float64"))


def _groups_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    return Suite(
        "groups",
        groups,
        key="group_id",
        min_rows=1,
        remedy=_SEE_JOURNAL,
        required=RANKINGS.names,
        requirements=[
            Requirement(
                "group_id_unique",
                "ExpectColumnValuesToBeUnique",
                {"column": "group_id"},
                "each group_id once",
                "a group was labelled twice: remove the copies",
            ),
            Requirement(
                "presented_distinct",
                "ExpectColumnValuesToBeInSet",
                {"column": "presented_is_distinct", "value_set": [True]},
                "no picture twice in one group",
                "look at how the stage `label` draws its groups",
            ),
            Requirement(
                "one_group_size",
                "ExpectColumnUniqueValueCountToBeBetween",
                {"column": "group_size", "min_value": 1, "max_value": 1},
                "one group size (different numbers of presented pictures: 1)",
                "label every group anew after a change of label.band_sizes",
            ),
            Requirement(
                "two_pictures",
                "ExpectColumnMinToBeBetween",
                {"column": "group_size", "min_value": 2},
                "at least 2 pictures in the smallest group",
                "raise label.band_sizes",
            ),
            Requirement(
                "failure_rate",
                "ExpectColumnMeanToBeBetween",
                {"column": "no_label", "max_value": limits.max_failure_rate},
                f"a share of groups without a ranking of at most {limits.max_failure_rate}",
                f"{_SEE_JOURNAL}, or raise check_labels.max_failure_rate",
            ),
        ],
    )


def _rankings_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    return Suite(
        "rankings",
        _answers(groups),
        key="group_id",
        min_rows=limits.min_rankings,
        remedy="raise label.groups or lower check_labels.min_rankings",
        requirements=[
            Requirement(
                "enough_personas",
                "ExpectColumnUniqueValueCountToBeBetween",
                {"column": "persona_id", "min_value": limits.min_personas},
                f"at least {limits.min_personas} different personas",
                "raise label.groups, add personas, or lower check_labels.min_personas",
            ),
            Requirement(
                "permutation",
                "ExpectColumnValuesToBeInSet",
                {"column": "is_permutation", "value_set": [True]},
                "each ranking to hold what was presented, each picture once",
                "such a reply is no label: the stage `label` must write an empty ranking for it",
            ),
            Requirement(
                "position_share",
                "ExpectColumnMaxToBeBetween",
                {"column": "position_share", "max_value": limits.max_position_share},
                f"at most {limits.max_position_share} of the groups won by one presented position",
                "the teacher goes by the place on the page: use another teacher or prompt",
            ),
        ],
    )


def _truth_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    return Suite(
        "truth",
        groups[groups["truth_agreement"].notna()],
        key="group_id",
        min_rows=1,
        remedy="no group can be judged: let wants name attributes that the catalogue has",
        requirements=[
            Requirement(
                "truth_agreement",
                "ExpectColumnMeanToBeBetween",
                {"column": "truth_agreement", "min_value": limits.min_truth_agreement},
                "a mean agreement with wants x attributes of at least"
                f" {limits.min_truth_agreement} (a coin: 0.5, reversed: near 0)",
                "the teacher does not rank by what personas want: use another teacher or prompt",
            ),
        ],
    )
