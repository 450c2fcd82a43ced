"""Stage `label@<cycle>`: the teacher ranks groups of pictures for training personas.

data/personas.parquet, data/catalog/, the previous model's vectors and rankings
    -> data/labels/<cycle>/rankings.parquet (cumulative), audits.parquet and ledger.json (the
       cycle's own)

Every reply is in the journal, var/teacher/label.jsonl, before it counts: a run that was killed asks
only for what is missing. `kindred labels cost` sums it up; docs/labelling.md.

Run:  dvc repro label@c1
Tiny: python -m pipelines.label c1, after label.groups: 20 in params.yaml
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.labelling.plan import Planned, plan_groups, plan_requests, with_audits
from pipelines.labelling.teachers.asking import Purpose
from pipelines.labelling.teachers.budget import make_budget
from pipelines.labelling.teachers.factory import make_teacher, open_asker
from pipelines.labelling.teachers.from_file import FileTeacher
from pipelines.labelling.teachers.protocol import Reply, Request, ranking_row
from pipelines.run.params import Params, load_params
from pipelines.run.paths import (
    BASE,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    audits_file,
    cycle_metrics,
    ledger_file,
    product_vectors,
    rankings_file,
)
from pipelines.run.recipe import MOST_CYCLES, resolve_recipe
from pipelines.run.stage import cycle_argument, derive_seed, run_stage, say, stage_lock
from retrieval.storage.files import read_json, write_json
from retrieval.storage.schema import (
    AUDITS,
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    AuditRow,
    PersonaRow,
    ProductRow,
    RankingRow,
    read_rows,
    write_rows,
)
from retrieval.storage.vectors import read_vectors

Catalogue = tuple[Sequence[PersonaRow], Sequence[ProductRow]]


@dataclass
class Labels:
    """What a cycle brought: rows of the two tables, and what they cost."""

    rankings: list[RankingRow] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)


def sample_groups(
    params: Params, cycle: str, catalogue: Catalogue, before: Sequence[RankingRow]
) -> list[Planned]:
    """Groups that the previous model's scores pick, and audits of them. Raises as `plan_groups`."""
    personas, products = catalogue
    prev = params.cycles[cycle]
    times = Counter(row["persona_id"] for row in before)
    asked_P = np.array([times[row["persona_id"]] for row in personas])
    product_ids = [product["product_id"] for product in products]
    texts_PD = read_vectors(PERSONA_VECTORS).rows([row["persona_id"] for row in personas])
    images_ND = read_vectors(product_vectors(prev)).rows(product_ids)
    rng = np.random.default_rng(derive_seed(params.seed, "label", cycle))
    groups = [
        Request(personas[who]["persona_id"], tuple(product_ids[column] for column in columns))
        for who, columns in plan_groups(
            params.label, texts_PD @ images_ND.T, images_ND, asked_P, rng
        )
    ]
    audit_rng = np.random.default_rng(derive_seed(params.seed, "audit", cycle))
    return with_audits(params.label, plan_requests(cycle, groups), audit_rng)


def groups_from_file(
    teacher: FileTeacher, most: int, cycle: str, catalogue: Catalogue, before: Sequence[RankingRow]
) -> list[Planned]:
    """The file's next groups of training personas and products; a file cannot be audited.

    Training takes groups of one size: the file's most frequent one.
    """
    personas, products = catalogue
    people = {persona["persona_id"] for persona in personas}
    shown = {product["product_id"] for product in products}
    groups = teacher.known_groups()
    known = [
        group
        for group in groups
        if group.persona_id in people and shown.issuperset(group.presented)
    ]
    if apart := len(groups) - len(known):
        say(f"{apart} of the file's {len(groups)} groups are not for training: held-out ones")
    sizes = Counter(len(group.presented) for group in known)
    if len(sizes) > 1:
        [(size, count)] = sizes.most_common(1)
        known = [group for group in known if len(group.presented) == size]
        say(f"the file has groups of {sorted(sizes)} pictures: took the {count} of {size}")
    return plan_requests(cycle, known[len(before) :][:most])


def label(params: Params, cycle: str, before: Sequence[RankingRow]) -> Labels:
    """Plan, say what it will cost, ask.

    Raises:
        SystemExit: The plan or the teacher says why it cannot be done.
    """
    personas = [row for row in read_rows(PERSONAS_FILE, PERSONAS) if row["split"] == "train"]
    products = [row for row in read_rows(PRODUCTS_FILE, PRODUCTS) if row["split"] == "train"]
    teacher = make_teacher(params, personas, products)
    if isinstance(teacher, FileTeacher):
        planned = groups_from_file(
            teacher, params.label.groups, cycle, (personas, products), before
        )
    else:
        planned = sample_groups(params, cycle, (personas, products), before)
    requests = [one.request for one in planned]
    with open_asker(params, teacher, Purpose("label", cycle), len(requests)) as asker:
        say(f"label {cycle}: {asker.forecast(requests)}")
        replies = asker.rank(requests)
    ledger = {**asker.budget.to_json(), **_counts(planned, replies)}
    labels = Labels(ledger=ledger)
    for one, reply in zip(planned, replies, strict=True):
        if reply is None:
            continue
        row = ranking_row(one.group_id, one.request, reply, teacher.name)
        if one.kind == "label":
            labels.rankings.append(row)
        else:
            labels.audits.append({**row, "audit_id": one.id, "kind": one.kind})
    return labels


def say_few_cycles(params: Params, cycle: str) -> None:
    """At the first cycle: the published recipe is meant for more cycles than there are."""
    count, first = len(params.cycles), params.cycles[cycle] == BASE
    if first and params.distill.recipe == "published" and count < MOST_CYCLES:
        say(f"published: {count} cycles of up to {MOST_CYCLES}: see docs/distillation.md")


def _counts(planned: Sequence[Planned], replies: Sequence[Reply | None]) -> dict[str, int]:
    """How many audits were asked, and how many groups were not: the budget ended before them."""
    asked = Counter(one.kind for one, reply in zip(planned, replies, strict=True) if reply)
    unasked = sum(one.kind == "label" for one in planned) - asked["label"]
    pairs = asked["pair"] // 2
    return {"audit_groups": asked["group"], "audit_pairs": pairs, "unasked": unasked}


def main(cycle: str) -> None:
    """Read, label, write; after an early stop pass the rankings through."""
    params = resolve_recipe(load_params())
    say_few_cycles(params, cycle)
    with stage_lock(f"label@{cycle}"):
        prev = params.cycles[cycle]
        before = read_rows(rankings_file(prev), RANKINGS)
        if read_json(cycle_metrics(prev))["stopped"]:
            say(f"training stopped before cycle {cycle}: old labels pass through")
            labels = Labels(ledger={**make_budget(params.teacher).to_json(), **_counts([], [])})
        else:
            labels = label(params, cycle, before)
        write_rows(rankings_file(cycle), before + labels.rankings, RANKINGS)
        write_rows(audits_file(cycle), labels.audits, AUDITS)
        write_json(ledger_file(cycle), labels.ledger)
        say(_summary(cycle, labels, len(before)))


def _summary(cycle: str, labels: Labels, before: int) -> str:
    ledger = labels.ledger
    lines = [
        f"cycle {cycle}: {before + len(labels.rankings)} rankings so far, {len(labels.rankings)} of"
        f" them new; {ledger['calls']} calls, {ledger['failures']} without a label,"
        f" ${ledger['cost_usd']:.2f}"
    ]
    if ledger["unasked"]:
        lines.append(
            f"the budget ended before {ledger['unasked']} groups; raise teacher.max_calls or"
            " teacher.max_cost_usd and run again: only those are asked"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run_stage(main, cycle_argument(__doc__))
