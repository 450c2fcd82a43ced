"""What asking has cost so far, and whether one more question may be asked."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.labelling.teachers.protocol import Answer
from pipelines.run.params import Teacher as TeacherParams

_MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """US dollars a million tokens."""

    input: float
    output: float

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Of one call, or of many."""
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION


@dataclass
class Spending:
    """Calls, tokens and money behind the replies that a run uses, old ones included."""

    calls: int = 0
    failures: int = 0  # requests that got no label, not even when asked again
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, answer: Answer, cost_usd: float) -> None:
        """Count one call."""
        self.calls += 1
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens
        self.cost_usd += cost_usd


@dataclass
class Budget:
    """The limits of one stage and cycle, and what is spent of them.

    Replies of earlier runs count as far as this run uses them: a run that was killed and started
    again may spend what an unbroken one may.
    """

    prices: Prices
    max_calls: int | None
    max_cost_usd: float | None
    spent: Spending = field(default_factory=Spending)
    reached: bool = False  # whether a question was not admitted

    def admit(self, under_way: int, expected_cost_usd: float) -> bool:
        """Whether one more question fits, beside those under way that are not counted yet."""
        calls = self.spent.calls + under_way + 1
        cost = self.spent.cost_usd + (under_way + 1) * self._mean_cost(expected_cost_usd)
        fits = (self.max_calls is None or calls <= self.max_calls) and (
            self.max_cost_usd is None or cost <= self.max_cost_usd
        )
        self.reached = self.reached or not fits
        return fits

    def to_json(self) -> dict[str, Any]:
        """Spending and limits."""
        limits = {"max_calls": self.max_calls, "max_cost_usd": self.max_cost_usd}
        return {**asdict(self.spent), **limits}

    def _mean_cost(self, expected: float) -> float:
        return self.spent.cost_usd / self.spent.calls if self.spent.calls else expected


def make_budget(params: TeacherParams) -> Budget:
    """The budget of one stage and cycle."""
    prices = Prices(params.usd_per_million_input_tokens, params.usd_per_million_output_tokens)
    return Budget(prices, params.max_calls, params.max_cost_usd)
