"""What the gate on labels looks at: rankings and audits as tables, one a question.

Columns may be missing and values malformed here: the tables keep what there is, and the gate's
expectations say what is wrong with it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrieval.wants import utilities
from validation.label_statistics import appearances, pairwise_agreement

_DERIVED = {
    "cycle": "object",
    "group_size": "int64",
    "presented_is_distinct": "bool",
    "no_label": "float64",  # 1 where the teacher gave no ranking
    "is_permutation": "bool",
    "winner": "object",  # "" where there is none
    "winner_position": "int64",  # 1 = presented first; 0 = no winner, or one that was not presented
    "truth_agreement": "float64",  # NaN where the truth is not known or decides no pair
}


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


@dataclass(frozen=True)
class Catalogue:
    """What there is to label, and what kind of thing each product is."""

    products: Sequence[str]  # of the training split
    personas: Sequence[str]  # likewise
    categories: Mapping[str, str]  # product_id -> category, of every split


def describe_groups(rankings: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """The table with the columns that the expectations look at; a missing column stays missing."""
    rows = [_describe_group(row, truth) for row in rankings.to_dict("records")]
    derived = pd.DataFrame(rows, columns=list(_DERIVED)).astype(_DERIVED)
    return pd.concat([rankings.reset_index(drop=True), derived], axis=1)


def _describe_group(row: Mapping[Any, Any], truth: Truth) -> dict[str, Any]:
    presented, ranking = (_as_list(row.get(name)) for name in ("presented", "ranking"))
    is_permutation = Counter(presented) == Counter(ranking)
    won = ranking[0] if ranking else ""
    known = is_permutation and truth.knows(row.get("persona_id", ""))
    known = known and all(product in truth.attributes for product in ranking)
    worth = truth.utilities(row["persona_id"], ranking) if known else []
    return {
        "cycle": _cycle(row.get("group_id")),
        "group_size": len(presented),
        "presented_is_distinct": len(set(presented)) == len(presented),
        "no_label": float(not ranking),
        "is_permutation": is_permutation,
        "winner": won,
        "winner_position": presented.index(won) + 1 if won in presented else 0,
        "truth_agreement": pairwise_agreement(worth),
    }


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _cycle(group_id: Any) -> str:
    """`c1` of `c1-00012`."""
    return group_id.rpartition("-")[0] if isinstance(group_id, str) else ""


def answered(groups: pd.DataFrame) -> pd.DataFrame:
    """The groups with a ranking, a permutation or not; `winner_share`: of its winner in them."""
    table = groups[groups["no_label"] == 0]
    shares = table["winner"].value_counts(normalize=True)
    return table.assign(winner_share=table["winner"].map(shares).astype("float64"))


def newest(groups: pd.DataFrame) -> pd.DataFrame:
    """The groups of the newest cycle: the table is cumulative, the newest stands last."""
    return groups[groups["cycle"] == groups["cycle"].iloc[-1]] if len(groups) else groups


def valid(groups: pd.DataFrame) -> pd.DataFrame:
    """The groups whose ranking is a permutation of what was presented."""
    return groups[(groups["no_label"] == 0) & groups["is_permutation"]]


def describe_audits(audits: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """The audits with what the expectations look at, and the group's own ranking as `first`."""
    described = describe_groups(audits, Truth({}, {}))
    original = {row.get("group_id"): row for row in groups.to_dict("records")}
    matches = [
        _of_its_group(row, original.get(row.get("group_id"), {}))
        for row in described.to_dict("records")
    ]
    first = [_as_list(original.get(group_id, {}).get("ranking")) for group_id in audits["group_id"]]
    return described.assign(
        of_its_group=pd.Series(matches, dtype="bool"),
        well_formed=(described["no_label"] == 1) | described["is_permutation"],
        first=pd.Series(first, dtype="object"),
    )


def _of_its_group(audit: Mapping[Any, Any], group: Mapping[Any, Any]) -> bool:
    """Whether an audit asks the group's persona about its pictures: about all of them, or two."""
    asked, shown = (_as_list(row.get("presented")) for row in (audit, group))
    fits = len(asked) == (len(shown) if audit.get("kind") == "group" else 2)
    return fits and set(asked) <= set(shown) and audit["persona_id"] == group.get("persona_id")


def repeats(audits: pd.DataFrame) -> pd.DataFrame:
    """Both answers, `first` and `again`, about the pictures of a group; of `describe_audits`."""
    again = valid(audits[(audits["kind"] == "group") & audits["of_its_group"]])
    both = again.rename(columns={"ranking": "again"})[["group_id", "first", "again"]]
    same = [Counter(a) == Counter(b) for a, b in zip(both["first"], both["again"], strict=True)]
    return both[pd.Series(same, index=both.index, dtype="bool")]


def pairs(audits: pd.DataFrame) -> pd.DataFrame:
    """Of each pair asked in both orders, whether the answers agree (`met`)."""
    winners: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in valid(audits[audits["kind"] == "pair"]).to_dict("records"):
        key = (row["group_id"], tuple(sorted(row["presented"])))
        winners.setdefault(key, []).append(row["winner"])
    rows = [(key[0], len(set(won)) == 1) for key, won in winners.items() if len(won) == 2]
    return pd.DataFrame(rows, columns=["group_id", "met"])


def judgements(groups: pd.DataFrame, audits: pd.DataFrame) -> pd.DataFrame:
    """Every label there is, of groups and audits: who was asked, and the order."""
    columns = ["group_id", "persona_id", "ranking"]
    tables = [valid(table).reindex(columns=columns) for table in (groups, audits)]
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def values(table: pd.DataFrame, column: str) -> list[Any]:
    """A column as a list; empty where the table lacks it."""
    return table[column].tolist() if column in table else []


def coverage(groups: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """How often each training product and persona was asked about (`times`)."""
    records = groups.to_dict("records")
    shown = [product for row in records for product in _as_list(row.get("presented"))]
    asked = [row.get("persona_id") for row in records]
    products = appearances(catalogue.products, shown)
    personas = appearances(catalogue.personas, asked)
    rows = [("product", name, times) for name, times in products.items()]
    rows += [("persona", name, times) for name, times in personas.items()]
    return pd.DataFrame(rows, columns=["kind", "id", "times"])


def winners_of_two_cycles(
    groups: pd.DataFrame, categories: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The winners' categories in the cycle before the newest (none after a first), and in it."""
    cycles = list(dict.fromkeys(groups["cycle"]))
    now, before = cycles[-1:], cycles[-2:-1]
    won = valid(groups)
    found = [
        [categories.get(winner, "") for winner in won.loc[won["cycle"].isin(cycle), "winner"]]
        for cycle in (before, now)
    ]
    return found[0], found[1]
