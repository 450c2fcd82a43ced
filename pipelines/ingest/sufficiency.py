"""Whether a catalogue suffices for what comes after it: asked before anything trains.

Each stage would stop by itself at what it lacks, an hour apart and one by one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipelines.run.params import Params
from retrieval.storage.schema import SPLITS, PersonaRow, ProductRow

Personas = Sequence[PersonaRow]
Products = Sequence[ProductRow]

OF_A_TOURNAMENT = 2  # products at least: a match
ANOTHER = "set teacher.kind to openai, transformers or file"


def hold_sufficiency(params: Params, products: Products, personas: Personas | None) -> None:
    """Hold products and personas, their splits made, to what labels and tournaments need.

    Without personas, which come later, the products alone.

    Raises:
        SystemExit: They do not suffice; the message has all obstacles, and what to change.
    """
    faults = list(_small_splits(params, products))
    if params.teacher.kind == "simulated":
        faults += _unattributed(products)
    if personas is not None:
        faults += _no_people(personas)
        faults += _unjudgeable(products, personas) if params.teacher.kind == "simulated" else ()
    if faults:
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise SystemExit(f"the catalogue does not suffice for the stages after it:\n{lines}")


def _small_splits(params: Params, products: Products) -> Iterator[str]:
    shown = Counter(row["split"] for row in products)
    group = sum(params.label.band_sizes) if params.teacher.kind != "file" else OF_A_TOURNAMENT
    for split in SPLITS:
        needed = group if split == "train" else OF_A_TOURNAMENT
        why = "a group (label.band_sizes)" if split == "train" else "a tournament"
        if shown[split] < needed:
            lower = ", lower label.band_sizes" if needed > OF_A_TOURNAMENT else ""
            yield (
                f"split {split} has {shown[split]} of {len(products)} products, expected {needed}"
                f" at least for {why}: {_more('photos', split, lower)}"
            )


def _no_people(personas: Personas) -> Iterator[str]:
    people = Counter(row["split"] for row in personas)
    for split in SPLITS:
        if not people[split]:
            yield (
                f"split {split} has none of {len(personas)} personas, expected one at least:"
                f" {_more('personas', split)}"
            )


def _more(what: str, split: str, lower: str = "") -> str:
    return f"add {what}{lower}, raise catalog.split.{split}, or fill the column split"


def _unattributed(products: Products) -> Iterator[str]:
    """The simulated teacher goes by wants and attributes alone."""
    if not any(row["attributes"] for row in products):
        yield (
            "no product has attributes, by which the simulated teacher judges: add columns"
            f" attr.<name>, or {ANOTHER}"
        )


def _unjudgeable(products: Products, personas: Personas) -> Iterator[str]:
    if any(row["wants"] for row in personas):
        yield from _unmet(products, personas)
    else:
        yield (
            "no persona has wants, by which the simulated teacher judges: add wants of the form"
            f" attribute=value, or {ANOTHER}"
        )


def _unmet(products: Products, personas: Personas) -> Iterator[str]:
    """Personas for whom no product of their split's does, if there are attributes and wants."""
    for splits in (("train",), ("val", "test")):
        offered = {
            f"{name}={value}"
            for row in products
            if row["split"] in splits
            for name, value in row["attributes"].items()
        }
        here = [row for row in personas if row["split"] in splits]
        unmet = [row["persona_id"] for row in here if offered.isdisjoint(row["wants"])]
        if offered and unmet:
            yield (
                f"{len(unmet)} of {len(here)} personas of split {' and '.join(splits)} want"
                f" nothing that a product of it has ({', '.join(unmet[:5])}), so the simulated"
                f" teacher cannot judge for them: mend the wants, add products, or {ANOTHER}"
            )
