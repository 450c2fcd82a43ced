"""The page a person reads about a version: what it is for, its numbers, where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.headlines import percent
from registry.lineage import Lineage, Revision
from registry.model_uses import Towers, render_uses
from registry.verdicts import Verdict
from retrieval.storage.files import number_at

_PERSONA_ROWS = {
    "random": "random order",
    "base": "base model",
    "text": "captions alone",
    "student": "**this version**",
    "ceiling": "best possible (the simulated teacher's own preferences)",
}
_CAPTION_ROWS = {"chance": "chance", "base": "base model", "student": "**this version**"}
_CONCEPT_ROWS = {"text_only": "class noun alone", "kindred": "**with the concept**"}

_SIMULATED = (
    "With a simulated teacher the numbers show that the method works, not what people would choose."
)


@dataclass(frozen=True)
class CardFacts:
    """What a card is rendered from."""

    name: str
    products: Mapping[str, int]  # by split
    categories: int
    concepts: Sequence[str]
    wishes: int
    metrics: Mapping[str, Any]
    verdicts: Mapping[str, Verdict]
    lineage: Lineage
    towers: Towers


def render_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    sections = [
        f"# {facts.name}",
        "Finds the pictures of a catalogue by what a text means to someone: persona search"
        ' ("a gift for a mother who loves gardening"), literal captions, personal concepts.',
        "## Numbers",
        *_numbers(facts.metrics),
        "## Verdicts",
        _verdicts(facts.verdicts),
        "## What it was trained on",
        _training(facts),
        "## Limits",
        _limits(facts),
        "## Used by",
        *render_uses(facts.name, facts.concepts, facts.towers),
        "## Lineage",
        _lineage(facts.lineage),
    ]
    return "\n\n".join(sections) + "\n"


def _numbers(metrics: Mapping[str, Any]) -> Iterable[str]:
    yield "Held-out personas and products; at 100 % the teacher's winner always comes first."
    yield _table(
        ("persona search", "mean percentile", "within the kind", "recall@10", "queries"),
        [
            (
                label,
                percent(number_at(metrics, "persona", row, "mean_percentile")),
                percent(number_at(metrics, "persona", row, "within_kind_percentile")),
                percent(number_at(metrics, "persona", row, "recall@10")),
                _count(number_at(metrics, "persona", row, "n")),
            )
            for row, label in _PERSONA_ROWS.items()
            if number_at(metrics, "persona", row, "mean_percentile") is not None
        ],
    )
    yield _recall_table(metrics)
    if metrics.get("concept"):
        yield _concept_table(metrics)


def _recall_table(metrics: Mapping[str, Any]) -> str:
    rows = [
        (
            label,
            percent(number_at(metrics, "caption", row, "recall@1")),
            percent(number_at(metrics, "caption", row, "recall@10")),
        )
        for row, label in _CAPTION_ROWS.items()
    ]
    return _table(("literal captions", "recall@1", "recall@10"), rows)


def _concept_table(metrics: Mapping[str, Any]) -> str:
    rows = [
        (
            label,
            percent(number_at(metrics, "concept", row, "concept_only", "map")),
            percent(number_at(metrics, "concept", row, "context", "mrr")),
            percent(number_at(metrics, "concept", row, "multi", "mrr")),
        )
        for row, label in _CONCEPT_ROWS.items()
    ]
    return _table(("personal concepts", "alone: mAP", "in context: mRR", "two at once: mRR"), rows)


def _verdicts(verdicts: Mapping[str, Verdict]) -> str:
    if not verdicts:
        return "No gate has judged this version."
    lines = []
    for name, verdict in verdicts.items():
        reasons = "; ".join(verdict.reasons)
        lines.append(
            f"- `{name}`: {'passed' if verdict.passed else '**failed**'}"
            + (f" ({reasons})" if reasons else "")
        )
    return "\n".join(lines)


def _training(facts: CardFacts) -> str:
    splits = ", ".join(f"{count} {split}" for split, count in facts.products.items())
    return "\n".join(
        [
            *_revision(facts.lineage.revision),
            f"- Catalogue: {sum(facts.products.values())} products in {facts.categories}"
            f" categories ({splits}).",
            f"- Preferences: {_teacher(facts.lineage.teacher)}",
            f"- Wishes: {facts.wishes} training personas have a label. The bundle holds their texts"
            " word for word (`wishes.parquet`, and held-out ones in `queries.parquet`): where"
            " people wrote them, whoever has the bundle reads them.",
            f"- Concepts of the evaluation: {', '.join(facts.concepts) or 'none'}.",
        ]
    )


def _revision(revision: Revision | None) -> Iterable[str]:
    if revision:
        yield (
            f"- Revision of version {revision.of}: {revision.added} products were added after"
            f" training, {revision.removed} removed, {revision.changed} changed. The numbers and"
            " verdicts above are about that version's catalogue."
        )


def _teacher(teacher: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in teacher.items() if key != "kind")
    if teacher.get("kind") == "simulated":
        return (
            "rankings by a **simulated** teacher, which ranks by the personas' wants and the"
            f" products' attributes ({settings}). No vision-language model was asked."
        )
    return f"rankings by the teacher `{teacher.get('kind', 'unknown')}` ({settings})."


def _limits(facts: CardFacts) -> str:
    limits = [
        "It prefers what its teacher prefers, the teacher's mistakes included.",
        "The numbers hold for catalogues and personas like those above; few kinds of wish in"
        " training are memorised rather than understood.",
        "Concepts belong to this version: another version learns them again from their photos.",
    ]
    if facts.lineage.teacher.get("kind") == "simulated":
        limits.insert(0, _SIMULATED)
    return "\n".join(f"- {limit}" for limit in limits)


def _lineage(lineage: Lineage) -> str:
    runs = ", ".join(f"{stage} `{run}`" for stage, run in lineage.runs.items())
    stages = ", ".join(lineage.stages) or "none: not made by `dvc repro`"
    return "\n".join(
        [
            f"- Commit: {lineage.git.commit or 'none'} ({lineage.git.note}).",
            f"- Parent version: {lineage.parent or 'none'}.",
            f"- DVC stages (digests in `lineage.json`): {stages}.",
            f"- MLflow runs: {runs or 'none'}.",
        ]
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
