"""What `kindred init` prints: what it found, the lines for params.yaml, the forecast."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.setup.forecast import Forecast
from pipelines.setup.gates import ERRORS, SPREAD
from pipelines.setup.params_file import flow
from pipelines.setup.plan import Line
from pipelines.setup.sizes import TEST_PERSONAS, TEST_PRODUCTS, Sizes
from pipelines.setup.survey import Found, wanting

SHOWN = 3  # examples of what is wrong
CATEGORIES_SHOWN = 6


def describe(found: Found) -> str:
    """The table: a line a fact, examples beside what is wrong."""
    rows = [*_pictures(found), *_table(found), *_people(found)]
    width = max(len(name) for name, _ in rows)
    return "\n".join([str(found.folder), *(f"  {name:<{width}}  {said}" for name, said in rows)])


def _pictures(found: Found) -> Iterator[tuple[str, str]]:
    folders = len({name.rpartition("/")[0] for name in found.files.pictures})
    yield "pictures", f"{len(found.files.pictures):,} in {_count(folders, 'folder')}"
    yield "unreadable", _some(found.unreadable)
    yield "twice the same", _some(found.repeats)
    yield "nearly the same", _some(found.near)
    if found.files.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.files.others.most_common(5))
        yield "other files", f"{found.files.others.total()} ({kinds}): not read"


def _table(found: Found) -> Iterator[tuple[str, str]]:
    products = found.products
    if found.table:
        yield (
            "products",
            f"{found.table.name}: {len(products):,} of {_count(found.rows, 'row')} can be used",
        )
        yield "rows at fault", _some(found.faults)
        more = f"; add rows to {found.table.name} to use them" if found.unnamed else ""
        yield "in no row", _count(found.unnamed, "picture") + more
    else:
        yield "products", f"no table; {len(products):,} by the names of files"
    total = len(products)
    missing = total - found.captions.total()
    different = f", {len(found.captions):,} different" if found.captions else ""
    yield "captions", f"{total - missing:,} of {total:,}{different}"
    yield "titles", f"{sum(bool(product.title) for product in products):,} of {total:,}"
    yield "prices", f"{sum(product.priced for product in products):,} of {total:,}"
    yield "categories", _counts(Counter(p.category for p in products if p.category))
    yield "attributes", _counts(found.attributes)


def _people(found: Found) -> Iterator[tuple[str, str]]:
    personas = found.personas
    wants = sum(bool(row["wants"]) for row in personas)
    met = len(list(wanting(personas, found.facts)))
    facets = sum(bool(row["facets"]) for row in personas)
    said = f"{len(personas):,}: {wants:,} with wants (a product meets those of {met:,})"
    yield "personas", f"{said}, {facets:,} with facets" if personas else "none"
    if found.persona_faults:
        yield "personas at fault", _some(found.persona_faults)
    concepts = {concept for row in found.subjects for concept in row["concepts"]}
    roles = Counter(row["role"] for row in found.subjects)
    said = ", ".join(f"{count} {role}" for role, count in roles.items())
    yield "subjects", f"{len(concepts)} ({said} rows)" if concepts else "none"
    if found.subject_faults:
        yield "subjects at fault", _some(found.subject_faults)


def describe_plan(lines: Sequence[Line], content: Mapping[str, Any]) -> str:
    """The lines that change, as YAML, with what was there and why."""
    printed: list[str] = []
    before: list[str] = []
    for line in lines:
        *sections, key = line.key.split(".")
        was = _value_at(content, line.key)
        if was == line.value:
            continue
        shared = [name for name, other in zip(sections, before, strict=False) if name == other]
        printed += [f"{'  ' * n}{name}:" for n, name in enumerate(sections) if n >= len(shared)]
        why = f"; {line.why}" if line.why else ""
        printed.append(f"{'  ' * len(sections)}{key}: {flow(line.value)} # was {flow(was)}{why}")
        before = sections
    return "\n".join(f"  {line}" for line in printed) or "  nothing changes"


def _value_at(content: Mapping[str, Any], key: str) -> Any:
    place: Any = content
    for part in key.split("."):
        place = place[part]
    return place


def describe_forecast(forecast: Forecast, teacher: str) -> str:
    """Who judges; calls, money and minutes, and what they assume."""
    heading = f"A run will take (teacher.kind: {teacher})"
    rows = [
        (
            need.what,
            f"{need.calls:,}",
            f"calls{_tokens(need.input_tokens, need.output_tokens)}",
        )
        for need in forecast.needs
    ]
    if any(need.input_tokens for need in forecast.needs):
        money = (f"{forecast.cost_usd:,.2f}", "US dollars")
        unpriced = ("?", "US dollars: teacher.usd_per_million_* are 0; set what yours asks")
        rows.append(("money", *(money if forecast.priced else unpriced)))
    if forecast.assumption:
        asking = _minutes(forecast.asking_seconds)
        rows.append(("asking", asking, f"min, at {forecast.assumption}"))
    rows.append(("computing", _minutes(forecast.computing_seconds), "min, on two cores"))
    lines = [f"  {what:<18} {number:>8} {unit}" for what, number, unit in rows]
    return "\n".join([heading, *lines])


def _tokens(taken: float, brought: float) -> str:
    return f", about {taken:,.0f} + {brought:,.0f} tokens each" if taken else ""


def describe_doubts(sizes: Sizes) -> str:
    """What no run over this catalogue can tell, a line each; "" where there is nothing to say."""
    judged, doubts = sizes.known_test, []
    if judged < TEST_PERSONAS - 1:  # parts are rounded
        doubts.append(
            f"{_count(judged, 'persona')} in the test: chance moves their mean percentile by"
            f" {100 * ERRORS * SPREAD / math.sqrt(max(1, judged)):.0f} points either way, so the"
            f" verdict says little; write more personas ({TEST_PERSONAS} in the test say more)"
        )
    if sizes.kinds_are_all:
        doubts.append(
            "wants name one attribute: which product is best among those that have it, nobody can"
            " tell, and the gate does not ask"
        )
    if min(sizes.products.val, sizes.products.test) < TEST_PRODUCTS / 4:
        doubts.append(
            f"{sizes.products.val} products to validate and {sizes.products.test} to test with:"
            " places among so few are coarse, and a better cycle may look worse"
        )
    return "\n".join(f"note: {doubt}" for doubt in doubts)


def obstacles(found: Found, sizes: Sizes, max_reject_fraction: float) -> list[str]:
    """What has to be done by hand before `dvc repro`, a sentence each."""
    return [
        *_rejects(found, max_reject_fraction),
        *_too_few(found, sizes),
        *_unmet(found),
    ]


def _rejects(found: Found, most: float) -> Iterator[str]:
    """The stage `catalog` stops at too many."""
    bad = found.rows - len(found.products)
    if found.table and found.rows and bad / found.rows > most:
        yield (
            f"{bad} of {found.rows} rows of {found.table.name} cannot be used, more than"
            f" catalog.max_reject_fraction allows ({most:g}): mend or remove them"
        )
    people = len(found.personas) + len(found.persona_faults)
    if people and len(found.persona_faults) / people > most:
        yield (
            f"{len(found.persona_faults)} of {people} rows of personas.jsonl cannot be used, more"
            f" than catalog.max_reject_fraction allows ({most:g}): mend or remove them"
        )


def _too_few(found: Found, sizes: Sizes) -> Iterator[str]:
    products, people = sizes.products, sizes.personas
    if products.train < 10 or min(products.val, products.test) < 2:
        yield (
            f"{len(found.products)} pictures are too few: {products.train} to train on,"
            f" {products.val} to validate, {products.test} to test; 20 make a start"
        )
    if min(people.train, people.val, people.test) < 1:
        total = people.train + people.val + people.test
        yield f"{total} personas are too few for three splits: write 10 at least"


def _unmet(found: Found) -> Iterator[str]:
    met = len(list(wanting(found.personas, found.facts)))
    if 0 < met < len(found.personas):
        yield (
            f"{len(found.personas) - met} of {len(found.personas)} personas want nothing that a"
            " product has, so the simulated teacher cannot judge for them: mend their wants"
            " (attribute=value, as the attr.* columns have them), or let a model judge"
        )


def _some(examples: Sequence[str]) -> str:
    if not examples:
        return "0"
    more = f"; and {len(examples) - SHOWN} more" if len(examples) > SHOWN else ""
    return f"{len(examples):,}: {'; '.join(examples[:SHOWN])}{more}"


def _counts(counts: Counter[str]) -> str:
    if not counts:
        return "none"
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(CATEGORIES_SHOWN))
    more = len(counts) - CATEGORIES_SHOWN
    return f"{len(counts)}: {shown}{f' and {more} more' if more > 0 else ''}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f}" if seconds >= 60 else "under 1"
