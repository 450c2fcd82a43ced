"""The page of the gate on personas: `reports/personas/index.html`."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.pages.gates import gate_facts
from pipelines.pages.render import render
from retrieval.storage.schema import PersonaRow
from validation.gate import Judged

EXAMPLES = 12


def personas_page(
    judged: Judged, personas: Sequence[PersonaRow], ledger: Mapping[str, Any], seed: int
) -> str:
    """The page as HTML.

    Args:
        judged: What the gate found.
        personas: All of them; a few are shown.
        ledger: How they were brought, as the stage `personas` writes it.
        seed: Decides which are shown.
    """
    rng = random.Random(seed)  # noqa: S311 - picks examples, guards nothing
    places = sorted(rng.sample(range(len(personas)), min(EXAMPLES, len(personas))))
    facts = {
        "kind": ledger["kind"],
        "counts": ledger["counts"],
        "examples": [personas[place] for place in places],
    }
    return render("personas.html", {**gate_facts(judged), **facts})
