"""Expectations of our own on a teacher's labels, computed by Great Expectations from its batch.

Each is a metric over the whole table and an expectation that holds it against a limit, give or
take a number of standard errors. Importing this file imports Great Expectations, which takes
seconds and registers the classes: only `validation.labels` does so, as it runs a gate.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.components import LegacyDiagnosticRendererType
from great_expectations.render.renderer.renderer import renderer

from validation.label_statistics import (
    Estimate,
    cyclic_share,
    largest_rank_shift,
    largest_share,
    mean_repeat_tau,
    share,
    winner_drift,
    winner_position_v,
)


class LabelStatistic(TableMetricProvider):  # type: ignore[misc]
    """An `Estimate` from a whole table; a subclass with a `metric_name` registers itself."""

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """The estimate."""
        raise NotImplementedError

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls: "type[LabelStatistic]",  # Great Expectations passes it
        execution_engine: Any,
        metric_domain_kwargs: Mapping[str, Any],
        **_: Any,
    ) -> Estimate:
        table, _, _ = execution_engine.get_compute_domain(
            domain_kwargs=metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return cls.measure(table)


class LabelExpectation(BatchExpectation):  # type: ignore[misc]
    """Holds a statistic to a limit, with so many standard errors of grace.

    A subclass names its statistic in `metric_dependencies`.
    """

    max_value: float | None = None
    min_value: float | None = None
    sampling_errors: float = 0.0

    success_keys: ClassVar[tuple[str, ...]] = ("max_value", "min_value", "sampling_errors")
    args_keys: ClassVar[tuple[str, ...]] = success_keys

    @classmethod
    def is_abstract(cls) -> bool:
        """Great Expectations registers only what names a statistic."""
        return not cls.metric_dependencies

    def _validate(
        self,
        metrics: Mapping[str, Estimate],
        runtime_configuration: Any = None,  # noqa: ARG002 - Great Expectations passes it
        execution_engine: Any = None,  # noqa: ARG002 - likewise
    ) -> dict[str, Any]:
        (name,) = self.metric_dependencies
        estimate = metrics[name]
        if math.isnan(estimate.value):
            return {"success": False, "result": {"observed_value": None}}
        low, high = -math.inf, math.inf
        if self.min_value is not None:
            low = estimate.lowest_allowed(self.min_value, self.sampling_errors)
        if self.max_value is not None:
            high = estimate.highest_allowed(self.max_value, self.sampling_errors)
        bound = high if self.min_value is None else low
        details = {"allowed": bound, "count": estimate.count, "unit": estimate.unit}
        result = {"observed_value": estimate.value, "details": details}
        return {"success": low <= estimate.value <= high, "result": result}

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)  # type: ignore[untyped-decorator]
    def _diagnostic_observed_value_renderer(
        cls,
        configuration: Any = None,  # noqa: ARG003 - Great Expectations passes it
        result: Any = None,
        runtime_configuration: Any = None,  # noqa: ARG003 - likewise
    ) -> str:
        """The cell of the Data Docs: the value, on how much, and what the sample allows."""
        content = (result.result if result else None) or {}
        if content.get("observed_value") is None:
            return "--"
        details = content["details"]
        return (
            f"{content['observed_value']:.3f} over {details['count']:,} {details['unit']}"
            f" (with sampling error allowed: {details['allowed']:.3f})"
        )


class WinnerPositionV(LabelStatistic):
    """Columns: winner_position, group_size."""

    metric_name = "labels.winner_position_v"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """Cramér's V of the winner's position."""
        return winner_position_v(table["winner_position"].tolist(), table["group_size"].tolist())


class ExpectWinnerToBeIndependentOfPosition(LabelExpectation):
    """Expect Cramér's V between winning and the place on the page to be small."""

    metric_dependencies = (WinnerPositionV.metric_name,)


class LargestRankShift(LabelStatistic):
    """Columns: presented, ranking."""

    metric_name = "labels.largest_rank_shift"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """How far the mean rank of a place lies from the middle, at most."""
        return largest_rank_shift(table["presented"].tolist(), table["ranking"].tolist())


class ExpectMeanRankToBeIndependentOfPosition(LabelExpectation):
    """Expect pictures to be ranked in the middle on average, wherever they are shown."""

    metric_dependencies = (LargestRankShift.metric_name,)


class RepeatTau(LabelStatistic):
    """Columns: first, again."""

    metric_name = "labels.repeat_tau"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """Mean Kendall tau between two answers about the same pictures."""
        return mean_repeat_tau(table["first"].tolist(), table["again"].tolist())


class ExpectRepeatsToAgree(LabelExpectation):
    """Expect the same pictures in another order to be ranked alike."""

    metric_dependencies = (RepeatTau.metric_name,)


class ShareMet(LabelStatistic):
    """Columns: met (bool), unit (what a row is, in the plural)."""

    metric_name = "labels.share_met"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """The share of rows that are met."""
        return share(table["met"].tolist(), str(table["unit"].max()))


class ExpectShareToBeBetween(LabelExpectation):
    """Expect a share of rows to be met."""

    metric_dependencies = (ShareMet.metric_name,)


class CyclicShare(LabelStatistic):
    """Columns: persona_id, ranking."""

    metric_name = "labels.cyclic_share"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """The share of circular triads among rankings that overlap."""
        return cyclic_share(table["persona_id"].tolist(), table["ranking"].tolist())


class ExpectPreferencesToBeTransitive(LabelExpectation):
    """Expect few triples in which a beats b, b beats c and c beats a."""

    metric_dependencies = (CyclicShare.metric_name,)


class WinnerDrift(LabelStatistic):
    """Columns: category, is_new (bool: of the newest cycle, not of the one before)."""

    metric_name = "labels.winner_drift"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """Total variation between the categories of winners, now and one cycle before."""
        before, now = (table.loc[table["is_new"] == new, "category"] for new in (False, True))
        return winner_drift(before.tolist(), now.tolist())


class ExpectWinnersNotToDrift(LabelExpectation):
    """Expect the winners' categories to be distributed as in the cycle before."""

    metric_dependencies = (WinnerDrift.metric_name,)


class LargestWinnerShare(LabelStatistic):
    """Columns: winner."""

    metric_name = "labels.largest_winner_share"

    @classmethod
    def measure(cls, table: pd.DataFrame) -> Estimate:
        """The share of groups that the most frequent winner won."""
        return largest_share(table["winner"].tolist())


class ExpectNoWinnerToDominate(LabelExpectation):
    """Expect no product to win more than a share of all groups."""

    metric_dependencies = (LargestWinnerShare.metric_name,)
