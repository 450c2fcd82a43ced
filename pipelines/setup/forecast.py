"""What a plan will take: calls of the teacher, money, minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.labelling import judges
from pipelines.labelling.teachers.budget import make_budget
from pipelines.labelling.teachers.openai_chat import OpenAITeacher
from pipelines.labelling.teachers.protocol import Request
from pipelines.run.params import Params
from pipelines.setup.sizes import Sizes
from pipelines.setup.survey import Found
from pipelines.writing.personas import plan_calls
from retrieval.storage.schema import PersonaRow

# Assumptions, which the forecast states.
SECONDS_A_CALL = 3.0  # of a vision-language model behind HTTP, about a few pictures
LOCAL_SECONDS_A_CALL = 5.0  # of one in this process
SIMULATED_SECONDS_A_CALL = 0.0001  # with its record in the journal
TEXT_TOKENS = 60.0  # of a caption
PROMPT_TOKENS = 1000.0  # of thirty captions and what is asked of them
PERSONAS_TOKENS = 900.0  # of ten personas, with facets and paraphrases

# Seconds on two cores without a GPU (docs/performance.md).
SECONDS_OF_STAGES, SECONDS_A_CYCLE = 50.0, 15.0  # of starting, mostly
SECONDS_A_PICTURE, SECONDS_A_TEXT, SECONDS_A_GROUP = 0.06, 0.005, 0.005
SECONDS_A_SUBJECT = 2.0

EXAMPLE: PersonaRow = {
    "persona_id": "p",
    "text": "a gift for a mother who loves gardening",
    "split": "",
    "wants": {},
    "paraphrase": "",
    "facets": {},
}


@dataclass(frozen=True)
class Need:
    """Calls of one kind, and the tokens that one takes and brings."""

    what: str
    by: str  # who answers: a teacher.kind
    calls: int
    input_tokens: float = 0.0
    output_tokens: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """All of it."""

    needs: list[Need]
    cost_usd: float
    priced: bool  # whether params.yaml has prices
    asking_seconds: float
    computing_seconds: float
    assumption: str  # behind the seconds of asking


def forecast(found: Found, sizes: Sizes, params: Params) -> Forecast:
    """What a run will take that nothing is known of yet.

    Args:
        found: What the folder holds.
        sizes: How large that is.
        params: As the plan makes them.
    """
    needs = [need for need in _needs(found, sizes, params) if need.calls]
    prices = make_budget(params.teacher).prices
    cost = sum(prices.cost(n.calls * n.input_tokens, n.calls * n.output_tokens) for n in needs)
    paces = [(need.calls, *_pace(need.by, params)) for need in needs]
    return Forecast(
        needs=needs,
        cost_usd=cost,
        priced=bool(prices.input or prices.output),
        asking_seconds=sum(calls * seconds for calls, seconds, _ in paces),
        computing_seconds=_computing(found, sizes, params),
        assumption="; ".join(dict.fromkeys(said for _, _, said in paces if said)),
    )


def _needs(found: Found, sizes: Sizes, params: Params) -> Iterator[Need]:
    if params.teacher.kind != "file":
        yield from _judging(sizes, params)
    writer = params.captions.kind
    if writer != "given":
        missing = sum(not product.caption for product in found.products)
        picture = (params.teacher.image_size / 28) ** 2 + 2 * TEXT_TOKENS
        tokens = (picture, TEXT_TOKENS) if writer == "openai" else (0.0, 0.0)
        yield Need("captions", writer, missing, *tokens)
    if params.personas.kind == "openai":
        interests = [""] * params.personas.interests
        calls = 1 + len(plan_calls(interests, params.personas))  # the first names the interests
        yield Need("personas", "openai", calls, PROMPT_TOKENS, PERSONAS_TOKENS)


def _judging(sizes: Sizes, params: Params) -> Iterator[Need]:
    label, cycles, kind = params.label, len(params.cycles), params.teacher.kind
    audits, pairs = (round(s * label.groups) for s in (label.audit_fraction, label.pair_fraction))
    tokens = _tokens(params, sum(label.band_sizes))
    calls = cycles * (label.groups + audits + 2 * pairs)
    yield Need(f"labels, {cycles} cycles", kind, calls, *tokens)
    tokens = _tokens(params, params.tournaments.group_size)
    yield Need("tournaments", kind, tournament_calls(sizes, params), *tokens)


def _tokens(params: Params, pictures: int) -> tuple[float, float]:
    """What a call about so many pictures takes and brings; nothing where nobody is paid."""
    if params.teacher.kind != "openai":
        return 0.0, 0.0
    teacher = OpenAITeacher(params.teacher, [EXAMPLE], [], Path())
    return teacher.expected_tokens(Request(EXAMPLE["persona_id"], ("",) * pictures))


def tournament_calls(sizes: Sizes, params: Params) -> int:
    """Calls of all knockouts and of the groups that test personas rank."""
    limits, people, products = params.tournaments, sizes.personas, sizes.products
    val, test = min(people.val, limits.max_val_personas), min(people.test, limits.max_test_personas)
    calls = val * judges.tournament_calls(products.val, limits.group_size)
    calls += test * judges.tournament_calls(products.test, limits.group_size)
    wanted = round(limits.repeats * calls) + limits.held_out_groups * test
    return min(wanted, limits.max_calls or wanted)


def _pace(kind: str, params: Params) -> tuple[float, str]:
    """Seconds a call, those side by side counted together, and what that assumes."""
    side_by_side = params.teacher.openai.concurrency
    if kind == "openai":
        return SECONDS_A_CALL / side_by_side, f"{SECONDS_A_CALL:g} s a call, {side_by_side} at once"
    if kind == "transformers":
        return LOCAL_SECONDS_A_CALL, f"{LOCAL_SECONDS_A_CALL:g} s a call, on a GPU"
    return SIMULATED_SECONDS_A_CALL + params.teacher.simulated.latency, ""


def _computing(found: Found, sizes: Sizes, params: Params) -> float:
    texts = len(found.captions) + sum(
        (sizes.personas.train, sizes.personas.val, sizes.personas.test)
    )
    cycles = len(params.cycles)
    groups = params.label.groups * cycles * (cycles + 1) / 2  # each cycle sees those before it too
    subjects = {concept for row in found.subjects for concept in row["concepts"]}
    return (
        SECONDS_OF_STAGES
        + SECONDS_A_CYCLE * cycles
        + SECONDS_A_PICTURE * len(found.products)
        + SECONDS_A_TEXT * texts
        + SECONDS_A_GROUP * groups
        + SECONDS_A_SUBJECT * len(subjects)
    )
