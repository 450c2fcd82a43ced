"""What users choose of what they are shown, and the pairwise choices that follow from it."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from retrieval.storage.files import atomic_file
from services.store.feedback import Feedback
from services.store.tenants import LOCAL, Tenant

SETTING = "KINDRED_FEEDBACK"
_HEADER = ("text", "winner", "loser")  # a form of label file: docs/labelling.md


def is_allowed(tenant: Tenant) -> bool:
    """Whether what a tenant chooses is kept: by its key, or without keys by KINDRED_FEEDBACK=1."""
    if tenant == LOCAL:
        return os.environ.get(SETTING) == "1"
    return tenant.feedback


def choices(feedback: Feedback) -> list[tuple[str, str]]:
    """Pairs (winner, loser) that follow from one answer, each once.

    Who reads down a page has seen what stands above the chosen product, and most likely the one
    below it; of the rest nothing is known (Joachims et al. 2007, "click > skip above" and "click >
    no-click next"). A product that was rejected loses to all that were shown and were not.
    """
    pairs = []
    if feedback.chosen is not None:
        place = feedback.shown.index(feedback.chosen)
        seen = (*feedback.shown[:place], *feedback.shown[place + 1 : place + 2])
        pairs += [(feedback.chosen, other) for other in (*seen, *feedback.rejected)]
    kept = [id_ for id_ in feedback.shown if id_ not in feedback.rejected]
    pairs += [(id_, loser) for loser in feedback.rejected for id_ in kept]
    return list(dict.fromkeys(pairs))


def write_choices(path: Path, given: Iterable[Feedback]) -> int:
    """Write a CSV file of labels, a row a choice, whole or not at all; how many there are.

    Choices of a text that was asked often are repeated: each is a vote.
    """
    rows = [(one.text, winner, loser) for one in given for winner, loser in choices(one)]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(rows)
    return len(rows)
