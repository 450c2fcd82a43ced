"""Great Expectations over pandas tables, turned into a verdict that other stages can trust.

Alone, Great Expectations passes an empty table, an empty suite and (in-set, between) a column of
nulls, and can leave an expectation out without a word. So each suite brings its own row count and
not-null expectations, and a verdict passes only if every requirement was evaluated and met.
"""

import json
import math
import numbers
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from retrieval.storage.files import atomic_folder, read_json
from validation.suite import Requirement, Suite

_SITE = "local_site"  # an ephemeral context's own site, pointed at the wanted folder
_EXAMPLES = 3  # rows that a reason names

Observed = int | float | str | None


@dataclass(frozen=True)
class Check:
    """One requirement after evaluation."""

    name: str
    passed: bool
    observed: Observed
    expected: str
    reason: str  # "" where it passed


@dataclass(frozen=True)
class Verdict:
    """What a gate decided, on which files, and why."""

    gate: str
    passed: bool
    reasons: list[str]
    checks: list[Check]
    inputs: dict[str, str]  # path -> SHA-256
    statistics: dict[str, int | float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was not checked, and why
    champion: str | None = None  # the version that it was compared with

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON: equal inputs give equal bytes, there is no time or run id in it."""
        # A list of inputs, because `dvc metrics show` makes a column of every string in a mapping.
        inputs = [{"path": path, "sha256": digest} for path, digest in self.inputs.items()]
        return {**asdict(self), "inputs": inputs}

    def summary(self) -> str:
        """The verdict in words, one line a reason and a note."""
        failed = sum(not check.passed for check in self.checks)
        state = "passed" if self.passed else f"failed {failed} of"
        lines = [f"gate {self.gate}: {state} {len(self.checks)} checks"]
        lines += [f"  - {reason}" for reason in self.reasons]
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


@dataclass(frozen=True)
class Result:
    """What came of one requirement."""

    check: Check
    got: str  # in words
    need: Requirement


@dataclass(frozen=True)
class Judged:
    """A verdict, and how it came about: what a page shows."""

    verdict: Verdict
    results: Sequence[Result]

    @property
    def failures(self) -> list[Result]:
        """What did not pass."""
        return [result for result in self.results if not result.check.passed]


def read_verdict(path: Path) -> Verdict:
    """Read a verdict that `Verdict.to_json` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no verdict, or its `passed` contradicts its checks.
    """
    content = read_json(path)
    try:
        content["inputs"] = {entry["path"]: entry["sha256"] for entry in content["inputs"]}
        verdict = TypeAdapter(Verdict).validate_json(json.dumps(content), strict=True)
    except (KeyError, TypeError, ValidationError) as error:
        fault = f"{type(error).__name__}: {error}"
        msg = f"{path} is no verdict ({fault}); delete it and run `dvc repro` again"
        raise ValueError(msg) from error
    sound = bool(verdict.checks) and all(check.passed for check in verdict.checks)
    if verdict.passed != sound:
        msg = (
            f"{path}: got passed: {verdict.passed}, expected {sound} from its"
            f" {len(verdict.checks)} checks; it was edited: delete it and run `dvc repro` again"
        )
        raise ValueError(msg)
    return verdict


def run_gate(gate: str, suites: Sequence[Suite], docs: Path, inputs: Mapping[str, str]) -> Judged:
    """Evaluate every suite, write Data Docs into `docs` (replaced), and give the verdict.

    Raises:
        ValueError: There is no suite, or one that would pass without looking at anything.
        RuntimeError: Great Expectations wrote no Data Docs.
    """
    if not suites:
        msg = f"gate {gate}: got no suite, expected one at least"
        raise ValueError(msg)
    with _analytics_off(), atomic_folder(docs) as folder:
        results = _evaluate(suites, folder.resolve())
    checks = [result.check for result in results]
    reasons = [check.reason for check in checks if not check.passed]
    return Judged(Verdict(gate, not reasons, reasons, checks, dict(inputs)), results)


@contextmanager
def _analytics_off() -> Iterator[None]:
    before = os.environ.get("GX_ANALYTICS_ENABLED")
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    try:
        yield
    finally:
        del os.environ["GX_ANALYTICS_ENABLED"]
        if before is not None:
            os.environ["GX_ANALYTICS_ENABLED"] = before


def _evaluate(suites: Sequence[Suite], folder: Path) -> list[Result]:
    import great_expectations as gx  # here: the import takes 10 s, and not every reader runs a gate
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site = {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
    context.update_data_docs_site(_SITE, {**site, "show_how_to_buttons": False})
    source = context.data_sources.add_pandas("tables")
    results = [each for suite in suites for each in _run_suite(gx, context, source, suite)]
    # An unknown site is skipped without a word, so look for the page itself.
    context.build_data_docs(site_names=[_SITE])
    if not (folder / "index.html").is_file():
        msg = f"Great Expectations wrote no Data Docs into {folder}"
        raise RuntimeError(msg)
    return results


def _run_suite(gx: Any, context: Any, source: Any, suite: Suite) -> list[Result]:
    requirements = suite.guarded()
    expectations = [_expectation(gx, requirement) for requirement in requirements]
    definition = gx.ValidationDefinition(
        name=suite.name,
        data=source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(gx.ExpectationSuite(suite.name, expectations=expectations)),
    )
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": suite.table.reset_index(drop=True)},
        result_format={"result_format": "SUMMARY"},
    )
    results = {result.expectation_config.meta["name"]: result for result in outcome.results}
    return [_check(suite, need, results.get(need.name)) for need in requirements]


def _expectation(gx: Any, requirement: Requirement) -> Any:
    return getattr(gx.expectations, requirement.kind)(
        **requirement.arguments,
        description=f"{requirement.name}: {requirement.expected}",
        notes=f"Where it fails: {requirement.remedy}.",
        meta={"name": requirement.name},
    )


def _check(suite: Suite, need: Requirement, result: Any) -> Result:
    name = f"{suite.name}.{need.name}"
    if result is None:
        error, observed, met = "Great Expectations left it out", None, False
    else:
        error = _exception(result.exception_info or {})
        observed = None if error else _observed(result.result, suite)
        met = bool(result.success) and observed is not None
    got = f"no result ({error})" if error else _in_words(observed)
    reason = "" if met else f"{name}: got {got}, expected {need.expected}; {need.remedy}"
    return Result(Check(name, met, observed, need.expected, reason), got, need)


def _exception(info: Mapping[str, Any]) -> str:
    """What an expectation raised; GX gives one record, or one a metric under the metric's id."""
    records = [info] if "raised_exception" in info else list(info.values())
    messages = {str(r["exception_message"]).strip() for r in records if r["raised_exception"]}
    return "; ".join(sorted(messages))


def _observed(result: Mapping[str, Any], suite: Suite) -> Observed:
    if "unexpected_count" not in result:
        return _plain(result.get("observed_value"))
    text = f"{result['unexpected_count']} of {result['element_count']} rows at fault"
    rows = result.get("partial_unexpected_index_list") or []
    if rows and suite.key in suite.table:
        text += (
            f" ({suite.key} "
            + ", ".join(str(suite.table[suite.key].iloc[row]) for row in rows[:_EXAMPLES])
            + (", ...)" if result["unexpected_count"] > _EXAMPLES else ")")
        )
    return text


def _plain(value: Any) -> Observed:
    """A value that JSON holds: numpy's numbers as Python's, nothing for NaN."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return None if value is None else str(value)


def _in_words(observed: Observed) -> str:
    if observed is None:
        return "nothing"
    return f"{observed:.6g}" if isinstance(observed, float) else str(observed)
