"""What a table must meet: expectations in code and in words, with the guards they need."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from validation.measures import Measure


@dataclass(frozen=True)
class Requirement:
    """One expectation, in code and in words."""

    name: str
    kind: str  # a class of great_expectations.expectations
    arguments: Mapping[str, Any]
    expected: str  # completes "expected ..."
    remedy: str  # what to do where it is not met
    measure: Measure | None = None  # the number that it holds to a limit, for who draws it


def all_rows(name: str, column: str, value: bool, expected: str, remedy: str) -> Requirement:
    """That a column of yes and no says `value` in every row; what is at fault was judged before."""
    arguments = {"column": column, "value_set": [value]}
    return Requirement(name, "ExpectColumnValuesToBeInSet", arguments, expected, remedy)


def held(
    name: str, measure: Measure, remedy: str, column: str = "", *, is_mean: bool = False
) -> Requirement:
    """That a number keeps its limit.

    Args:
        name: Of the check.
        measure: What it is.
        remedy: What to do where it does not.
        column: Where the table has it in every row that counts; by default the check's name.
        is_mean: The number is the column's mean.
    """
    kind, bound = ("Max", "max_value") if measure.is_maximum else ("Min", "min_value")
    return Requirement(
        name,
        f"ExpectColumn{'Mean' if is_mean else kind}ToBeBetween",
        {"column": column or name, bound: measure.allowed},
        measure.expected,
        remedy,
        measure,
    )


@dataclass(frozen=True)
class Suite:
    """A table and what it must meet; row count and not-null requirements come by themselves."""

    name: str
    table: pd.DataFrame
    key: str  # the column by which reasons name a row
    min_rows: int
    remedy: str  # what to do about too few rows or missing values
    requirements: Sequence[Requirement]
    required: Sequence[str] = ()  # columns without nulls, beside those that requirements look at

    def guarded(self) -> list[Requirement]:
        """The requirements with their guards in front.

        Raises:
            ValueError: The suite would pass without having looked at anything, or two requirements
                have one name, so that one's result could stand for the other's.
        """
        if not self.requirements or self.min_rows < 1:
            msg = (
                f"suite {self.name}: got {len(self.requirements)} requirements and min_rows"
                f" {self.min_rows}, expected one at least of each; an empty suite passes any table"
            )
            raise ValueError(msg)
        looked_at = [r.arguments["column"] for r in self.requirements if "column" in r.arguments]
        columns = dict.fromkeys([*self.required, *looked_at])
        guarded = [self._rows(), *(self._not_null(c) for c in columns), *self.requirements]
        repeated = [name for name, n in Counter(r.name for r in guarded).items() if n > 1]
        if repeated:
            msg = f"suite {self.name}: got several requirements named {repeated}, expected one each"
            raise ValueError(msg)
        return guarded

    def _rows(self) -> Requirement:
        return Requirement(
            "row_count",
            "ExpectTableRowCountToBeBetween",
            {"min_value": self.min_rows},
            f"a row count of at least {self.min_rows}",
            self.remedy,
        )

    def _not_null(self, column: str) -> Requirement:
        return Requirement(
            f"{column}_not_null",
            "ExpectColumnValuesToNotBeNull",
            {"column": column},
            f"no missing value in {column}",
            self.remedy,
        )


def statistics_suite(name: str, needs: Sequence[Requirement], remedy: str) -> Suite:
    """Statistics, each held to its limit, in a table of one row.

    There is no row where there was nothing to measure, so that the row count fails then.

    Args:
        name: Of the suite.
        needs: Of `held`.
        remedy: What to do where there was nothing to measure.
    """
    estimates = {need.name: need.measure.estimate for need in needs if need.measure}
    row = {column: estimate.value for column, estimate in estimates.items()}
    measured = any(estimate.count for estimate in estimates.values())
    table = pd.DataFrame([row] if measured else [], columns=list(row), dtype="float64")
    return Suite(name, table, key="", min_rows=1, remedy=remedy, requirements=needs)
