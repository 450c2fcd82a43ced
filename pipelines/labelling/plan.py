"""What a cycle asks: groups for training, and some of them once more for the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.labelling.sampling import Look, sample_group
from pipelines.labelling.teachers.protocol import Request
from pipelines.run.params import Label

Kind = Literal["label", "group", "pair"]
Group = tuple[int, list[int]]  # a persona and its products: row and columns of the scores


@dataclass(frozen=True)
class Planned:
    """A request and what it is for: a label, or an audit of the label of `group_id`."""

    id: str
    group_id: str
    kind: Kind
    request: Request


def plan_groups(
    label: Label,
    scores_PN: NDArray[np.floating[Any]],
    vectors_ND: NDArray[np.floating[Any]],
    asked_P: NDArray[np.integer[Any]],
    rng: np.random.Generator,
) -> list[Group]:
    """Persona and products of each group, in order of presentation.

    Personas that were asked about least so far come first, so that over all cycles they come up
    equally often, to within one.

    Args:
        label: How many groups, and how they are drawn.
        scores_PN: The student's scores.
        vectors_ND: Unit vectors of the products.
        asked_P: In how many groups each persona has been so far.
        rng: Draws.

    Raises:
        SystemExit: There are too few products for a group.
    """
    order = np.lexsort([rng.permutation(len(asked_P)), asked_P])
    edges, sizes = label.band_edges, label.band_sizes
    look = Look(vectors_ND, label.candidates) if label.candidates > 1 else None
    people = [int(order[number % len(order)]) for number in range(label.groups)]
    try:
        return [
            (who, sample_group(scores_PN[who], edges, sizes, rng, look).tolist()) for who in people
        ]
    except ValueError as error:
        raise SystemExit(str(error)) from error


def plan_requests(cycle: str, groups: Sequence[Request]) -> list[Planned]:
    """One label a group, named by the cycle and the group's number."""
    ids = [f"{cycle}-{number:05d}" for number in range(len(groups))]
    return [Planned(id_, id_, "label", group) for id_, group in zip(ids, groups, strict=True)]


def with_audits(label: Label, labels: Sequence[Planned], rng: np.random.Generator) -> list[Planned]:
    """The labels, each followed by its audits: a budget that ends early leaves both.

    A share of the groups is asked again in another order; of another share one pair is asked, in
    both orders.
    """
    again = _choose(len(labels), label.audit_fraction, rng)
    paired = _choose(len(labels), label.pair_fraction, rng)
    planned = []
    for number, labelled in enumerate(labels):
        planned.append(labelled)
        if number in again:
            planned.append(_group_audit(labelled, rng))
        if number in paired:
            planned += _pair_audits(labelled, rng)
    return planned


def _choose(count: int, share: float, rng: np.random.Generator) -> set[int]:
    return set(rng.permutation(count)[: round(share * count)].tolist())


def _group_audit(labelled: Planned, rng: np.random.Generator) -> Planned:
    """The same pictures, each in another place: a shifted order has no picture where it was."""
    presented = labelled.request.presented
    shift = int(rng.integers(1, len(presented)))
    shifted = presented[shift:] + presented[:shift]
    request = Request(labelled.request.persona_id, shifted)
    return Planned(f"{labelled.id}/order", labelled.group_id, "group", request)


def _pair_audits(labelled: Planned, rng: np.random.Generator) -> list[Planned]:
    places = rng.permutation(len(labelled.request.presented))[:2]
    pair = tuple(labelled.request.presented[place] for place in places)
    persona = labelled.request.persona_id
    return [
        Planned(f"{labelled.id}/pair{n}", labelled.group_id, "pair", Request(persona, shown))
        for n, shown in enumerate((pair, pair[::-1]), start=1)
    ]
