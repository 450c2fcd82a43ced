"""The gate on personas: are they wishes, all different, in every split, about many things?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from retrieval.slices import INTEREST, SITUATION
from retrieval.storage.schema import SPLITS, PersonaRow
from retrieval.titles import Titles
from validation.gate import Judged, run_gate
from validation.label_statistics import share
from validation.limits import PersonaLimits
from validation.measures import AtMost
from validation.suite import Requirement, Suite, all_rows, held, statistics_suite

_SEE = "look at data/personas.parquet, and at the stage `personas`"
_COLUMNS = ("persona_id", "text", "folded", "words", "split", "paraphrase_differs", "named")


@dataclass(frozen=True)
class Wishes:
    """What the gate judges: the personas, and the titles that none should name."""

    personas: Sequence[PersonaRow]
    titles: Titles


def check_personas(
    wishes: Wishes, limits: PersonaLimits, docs: Path, inputs: Mapping[str, str]
) -> Judged:
    """Judge the personas, and write Data Docs into `docs`. Raises as `run_gate`."""
    table = describe(wishes)
    facets = [row["facets"] for row in wishes.personas]
    interests = Counter(each.get(INTEREST) or each.get(SITUATION) or "" for each in facets)
    del interests[""]
    suites = [
        personas_suite(table, limits),
        splits_suite(table, limits),
        naming_suite(table, limits),
    ]
    notes = []
    if interests:
        suites.append(interests_suite(interests, limits))
    else:
        notes.append(
            "the spread over interests was not checked: no persona has a facet `interest` or"
            " `situation`"
        )
    found = run_gate("personas", suites, docs, inputs)
    numbers: dict[str, int | float | None] = {
        "personas": len(table),
        **{split: int((table["split"] == split).sum()) for split in SPLITS},
        "interests": len(interests),
        "paraphrases": sum(bool(row["paraphrase"]) for row in wishes.personas),
        "naming": int((table["named"] != "").sum()),
    }
    return replace(found, verdict=replace(found.verdict, statistics=numbers, notes=notes))


def describe(wishes: Wishes) -> pd.DataFrame:
    """A row a persona, with what the suites look at."""
    rows = [
        {
            "persona_id": row["persona_id"],
            "text": row["text"],
            "folded": fold(row["text"]),
            "words": len(row["text"].split()),
            "split": row["split"],
            "paraphrase_differs": not row["paraphrase"]
            or fold(row["paraphrase"]) != fold(row["text"]),
            "named": wishes.titles.named_in(row["text"]),
        }
        for row in wishes.personas
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def fold(text: str) -> str:
    """What two texts share that differ in case and spacing alone."""
    return " ".join(text.casefold().split())


def personas_suite(table: pd.DataFrame, limits: PersonaLimits) -> Suite:
    """Every persona by itself."""
    return Suite(
        "personas",
        table,
        key="persona_id",
        min_rows=limits.min_personas,
        remedy="write more personas, let personas.kind bring them, or lower"
        " check_personas.min_personas",
        required=["text", "split"],
        requirements=[
            Requirement(
                "persona_id_unique",
                "ExpectColumnValuesToBeUnique",
                {"column": "persona_id"},
                "each persona_id once",
                _SEE,
            ),
            Requirement(
                "text_unique",
                "ExpectColumnValuesToBeUnique",
                {"column": "folded"},
                "no text twice, case and spacing aside",
                "remove the copies: they count twice in every number",
            ),
            Requirement(
                "length",
                "ExpectColumnValuesToBeBetween",
                {"column": "words", "min_value": 1, "max_value": limits.max_words},
                f"texts of 1 to {limits.max_words} words",
                "shorten them, or raise check_personas.max_words",
            ),
            Requirement(
                "split",
                "ExpectColumnValuesToBeInSet",
                {"column": "split", "value_set": list(SPLITS)},
                f"a split of {', '.join(SPLITS)}",
                _SEE,
            ),
            all_rows(
                "paraphrase_differs",
                "paraphrase_differs",
                True,
                "each paraphrase to differ from its text",
                "write it in other words, or leave it out",
            ),
        ],
    )


def splits_suite(table: pd.DataFrame, limits: PersonaLimits) -> Suite:
    """Every split has personas: to train on, to choose by, to be judged by."""
    counts = [int((table["split"] == split).sum()) for split in SPLITS]
    return Suite(
        "splits",
        pd.DataFrame({"split": list(SPLITS), "personas": counts}),
        key="split",
        min_rows=len(SPLITS),
        remedy=_SEE,
        requirements=[
            Requirement(
                "personas",
                "ExpectColumnValuesToBeBetween",
                {"column": "personas", "min_value": limits.min_split},
                f"at least {limits.min_split} in each of {', '.join(SPLITS)}",
                "bring more personas, change catalog.split, or lower check_personas.min_split",
            ),
        ],
    )


def naming_suite(table: pd.DataFrame, limits: PersonaLimits) -> Suite:
    """A wish that names a product's title is found by its words: it teaches nothing."""
    named = table.loc[table["named"] != "", "named"]
    example = f", such as {named.iloc[0]!r}" if len(named) else ""
    measure = AtMost(
        "a share of personas that name a product by its title",
        share((table["named"] != "").tolist(), "personas"),
        limits.max_naming_share,
    )
    remedy = (
        f"say what somebody is like instead{example}; where titles are plain words, raise"
        " check_personas.max_naming_share"
    )
    return statistics_suite("naming", [held("naming_share", measure, remedy)], _SEE)


def interests_suite(interests: Counter[str], limits: PersonaLimits) -> Suite:
    """Wishes about one thing teach a model that thing."""
    [(name, _)] = interests.most_common(1)
    wished = [interest == name for interest in interests.elements()]
    measure = AtMost(
        "a share of personas with one and the same interest",
        share(wished, "personas"),
        limits.max_interest_share,
    )
    remedy = (
        f"bring wishes of other kinds than {name!r}, or raise check_personas.max_interest_share"
    )
    return statistics_suite("interests", [held("interest_share", measure, remedy)], _SEE)
