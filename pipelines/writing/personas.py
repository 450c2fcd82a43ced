"""`personas.kind: openai`: a model writes wishes for a catalogue of which it has seen a little."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipelines.labelling.teachers.asking import Asker, Heard, Purpose
from pipelines.labelling.teachers.factory import open_asker
from pipelines.labelling.teachers.protocol import Request
from pipelines.run.params import Params, Personas
from pipelines.run.stage import derive_seed, say
from pipelines.tables.values import fold
from pipelines.writing.wish_writer import Glimpse, WishWriter, read_words
from pipelines.writing.wishes import Wish, persona_rows, sift, spread, unlike
from retrieval.storage.schema import PersonaRow, ProductRow
from retrieval.titles import Titles

_ROUNDS = 4  # askings for interests: models name fewer than they are asked for
_SPARE = 1.25  # wishes asked for, of each wanted: some are dropped

Ledger = dict[str, Any]


def write_personas(
    params: Params, products: Sequence[ProductRow], known: Sequence[str]
) -> tuple[list[PersonaRow], Ledger]:
    """Ask for interests, then for wishes of each; say before what it will cost.

    Args:
        params: Sections `personas` and `teacher`.
        products: The catalogue's; captions and categories of the training split are shown.
        known: Texts that there are already.

    Returns:
        Personas, as yet without a split, and the ledger.

    Raises:
        SystemExit: The model cannot be asked now, or nothing that it wrote can be a persona.
    """
    settings = params.personas
    writer = WishWriter(params, glimpse(params, products))
    with open_asker(params, writer, Purpose("personas", read=read_words), None) as asker:
        interests = ask_interests(asker, settings)
        requests = plan_calls(interests, settings)
        say(f"personas: {len(interests)} interests; {asker.forecast(requests)}")
        heard = asker.hear(requests)
    titles = Titles(row["title"] for row in products)
    wishes, counts = sift(_entries(requests, heard), settings, titles, known)
    different = drop_alike(wishes, known, settings.max_cosine)
    counts |= {
        "near-duplicates": len(wishes) - len(different),
        "unreadable replies": sum(one is not None and one.said is None for one in heard),
        "unasked replies": sum(one is None for one in heard),
    }
    kept = spread(different, settings.count)
    if not kept:
        msg = (
            f"{writer.name} wrote no wish that can be a persona ({dict(counts)}); look at"
            " var/teacher/personas.jsonl, and at personas.language, min_words and max_words"
        )
        raise SystemExit(msg)
    facts = {"writer": writer.name, "interests": len({wish.interest for wish in kept})}
    ledger = {**facts, "counts": dict(counts), **asker.budget.to_json()}
    return persona_rows(kept), ledger


def _entries(
    requests: Sequence[Request], heard: Sequence[Heard | None]
) -> Iterator[tuple[str, Any]]:
    """What was written, each with the interest that it was asked for."""
    for request, one in zip(requests, heard, strict=True):
        for entry in (one.said if one else None) or []:
            yield request.persona_id, entry


def glimpse(params: Params, products: Sequence[ProductRow]) -> Glimpse:
    """Captions drawn by seed from the training products, and every category."""
    captions = sorted({row["caption"] for row in products if row["split"] == "train"})
    rng = np.random.default_rng(derive_seed(params.seed, "personas", "captions"))
    drawn = rng.permutation(len(captions))[: params.personas.captions]
    categories = sorted({row["category"] for row in products if row["category"]})
    return Glimpse(categories, [captions[place] for place in drawn.tolist()])


def ask_interests(asker: Asker, settings: Personas) -> list[str]:
    """Interests, all different; once more for those that are missing, a few times.

    Raises:
        SystemExit: The model names none.
    """
    found: dict[str, str] = {}
    for _ in range(_ROUNDS):
        [heard] = asker.hear([Request("", tuple(found.values()))])
        named = heard.said if heard and heard.said else []
        fresh = {fold(name): name for name in named if fold(name) not in found}
        found |= fresh
        if len(found) >= settings.interests or not fresh:
            break
    if not found:
        msg = (
            f"{asker.name} named no interests that could be read; look at"
            " var/teacher/personas.jsonl, and at personas.model and max_output_tokens"
        )
        raise SystemExit(msg)
    return list(found.values())[: settings.interests]


def plan_calls(interests: Sequence[str], settings: Personas) -> list[Request]:
    """Calls for each interest, some wishes more than are wanted; all interests' first calls first.

    A budget that ends them early so still leaves wishes of every interest.
    """
    wanted = math.ceil(settings.count * _SPARE / len(interests))
    calls = math.ceil(wanted / settings.wishes_per_call)
    return [Request(interest, (), repeat) for repeat in range(calls) for interest in interests]


def drop_alike(wishes: Sequence[Wish], known: Sequence[str], max_cosine: float) -> list[Wish]:
    """The wishes without those that an earlier one, or a known text, says almost alike."""
    from retrieval.minilm import load_minilm  # torch: seconds

    if not wishes:
        return []
    texts = [*known, *(wish.text for wish in wishes)]
    kept = unlike(texts, load_minilm()(texts), max_cosine)
    return [wishes[place - len(known)] for place in kept if place >= len(known)]
