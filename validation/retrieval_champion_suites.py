"""What the gate demands beside the evaluation: no worse than the champion, and an index that finds.

The suites' names matter: what begins with `champion` is about that day's champion, and promotion
judges it anew once another is champion.
"""

from dataclasses import dataclass

import pandas as pd

from validation.measures import AtLeast, exact
from validation.retrieval_champion import ABOUT_CHAMPION, Regression, Uncompared
from validation.retrieval_drops import Drop
from validation.suite import Suite, all_rows, held, statistics_suite

_AGAIN = "run the stage `check_retrieval` again"
_BETTER = "train a better one, or insist: kindred promote --force --reason"


@dataclass(frozen=True)
class IndexTrial:
    """How far an index of the candidate's vectors finds what exact search finds."""

    agreement: float  # share of the ten nearest, 0 where it could not be built
    fault: str = ""  # why it could not


def champion_suites(found: Regression | Uncompared) -> list[Suite]:
    """No worse than the champion, overall and in any slice that is large enough."""
    if isinstance(found, Uncompared):
        return [_uncompared_suite(found)]
    suites = [_drops_suite(ABOUT_CHAMPION, found.overall, "metric")]
    if found.slices:
        suites.append(_drops_suite(f"{ABOUT_CHAMPION}_slices", found.slices, "slice"))
    return suites


def index_suite(trial: IndexTrial, min_agreement: float) -> Suite:
    """The ten nearest by the index against exact search."""
    if trial.fault:
        table = pd.DataFrame({"built": [False], "fault": [trial.fault]})
        need = all_rows(
            "built",
            "built",
            True,
            "an index of the candidate's vectors to be built",
            "run the stage `select` again",
        )
        return Suite("index", table, key="fault", min_rows=1, remedy=_AGAIN, requirements=[need])
    measure = AtLeast(
        "a share of exact search's ten nearest found by the index",
        exact(trial.agreement),
        min_agreement,
    )
    remedy = "look at retrieval/index/collection.py: the index is too coarse for these vectors"
    return statistics_suite("index", [held("agreement", measure, remedy)], _AGAIN)


def _uncompared_suite(found: Uncompared) -> Suite:
    text = f"version {found.version} cannot be compared with: {found.fault}"
    return Suite(
        ABOUT_CHAMPION,
        pd.DataFrame({"compared": [False], "champion": [text]}),
        key="champion",
        min_rows=1,
        remedy=_AGAIN,
        requirements=[
            all_rows(
                "compared",
                "compared",
                True,
                "the champion to answer the candidate's queries",
                "restore it or make another version champion; promotion then compares anew",
            )
        ],
    )


def _drops_suite(name: str, drops: list[Drop], what: str) -> Suite:
    return Suite(
        name,
        pd.DataFrame(
            {
                what: [drop.summary() for drop in drops],
                "difference": [drop.difference for drop in drops],
                "is_worse": [drop.is_worse for drop in drops],
            }
        ),
        key=what,
        min_rows=1,
        remedy=_AGAIN,
        requirements=[
            all_rows(
                "no_drop",
                "is_worse",
                False,
                f"no {what} below the champion's by more than its limit and than chance explains",
                _BETTER,
            )
        ],
    )
