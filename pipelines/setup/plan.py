"""The lines of params.yaml that fit a catalogue: a value for each key, and why.

Every key is set each time, so that a second look at a larger folder takes back what the first one
changed; where it is as large as the studio, most have the values that params.yaml comes with.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run.params import Params
from pipelines.setup.gates import gate_limits
from pipelines.setup.sizes import Sizes, personas_to_write
from pipelines.setup.survey import Found

MODEL, PRETRAINED = "minilm-efficientnet-lite0", "imagenet"  # a tower that has seen photographs
STUDIO_MODEL = "minilm-resnet10t"
GROUP_SIZES = {60: [4, 4, 2, 2], 24: [3, 3, 1, 1], 10: [2, 1, 1, 1], 0: [1, 1, 0, 0]}
AUDITS, PAIRS = 20, 12  # a cycle, at least: fewer say nothing of a teacher
# Personas whose tournaments a paid teacher holds; a simulated one costs nothing but seconds.
PAID_VAL, PAID_TEST = 30, 60
FREE_VAL, FREE_TEST = 150, 400


@dataclass(frozen=True)
class Line:
    """A key of params.yaml, the value that fits, and why."""

    key: str  # section.key, as in `label.groups`
    value: Any
    why: str = ""


def make_plan(found: Found, sizes: Sizes, params: Params, project: Path) -> list[Line]:
    """All lines for a folder, changed or not.

    Args:
        found: What the folder holds.
        sizes: How large that is.
        params: The project's parameters as they are.
        project: The project's top folder: a folder below it is named relative to it.
    """
    kind = teacher_kind(sizes, params)
    return [
        Line("catalog.source", "folder"),
        Line("catalog.folder", _name(found.folder, project)),
        Line("catalog.split", sizes.split, "enough to test on, the most to train on"),
        *_cycles(sizes, params),
        *_base(params),
        *_words(found, params),
        Line("teacher.kind", kind, _why_teacher(kind, sizes)),
        *_tournaments(kind),
        *_labels(sizes, params),
        *(Line(key, value, why) for key, value, why in gate_limits(sizes, groups_of(sizes))),
    ]


def teacher_kind(sizes: Sizes, params: Params) -> str:
    """The teacher that can judge; what the user chose stays."""
    if params.teacher.kind != "simulated" or sizes.simulated:
        return params.teacher.kind
    return "openai"


def groups_of(sizes: Sizes) -> tuple[int, list[int]]:
    """How many groups a cycle, and how many pictures of each band a group."""
    wanted = max(0.3 * sizes.products.train, 3.5 * sizes.personas.train, 40)
    groups = min(round(wanted / 50) * 50 if wanted > 100 else round(wanted, -1), 900)
    bands = next(b for least, b in GROUP_SIZES.items() if sizes.products.train >= least)
    return int(groups), bands


def _name(folder: Path, project: Path) -> str:
    whole, top = folder.resolve(), project.resolve()
    return (whole.relative_to(top) if whole.is_relative_to(top) else whole).as_posix()


def _cycles(sizes: Sizes, params: Params) -> Iterator[Line]:
    """Fewer cycles for few products; what has fewer already stays."""
    train = sizes.products.train
    most = 2 if train < 100 else 3 if train < 500 else 4
    kept = dict(list(params.cycles.items())[:most])
    yield Line("cycles", kept, f"{train} products to train on")


def _base(params: Params) -> Iterator[Line]:
    if params.base.model in (STUDIO_MODEL, MODEL):  # another one is the user's own choice
        yield Line("base.model", MODEL, "its image tower has seen photographs")
        yield Line("base.pretrained", PRETRAINED)


def _words(found: Found, params: Params) -> Iterator[Line]:
    """Who writes captions and personas that are missing."""
    missing = sum(not product.caption for product in found.products)
    written = "openai" if missing else "given"
    yield Line("captions.kind", _kept(params.captions.kind, written), f"{missing} are missing")
    count = len(found.personas)
    kind = _kept(params.personas.kind, "given" if count else "openai")
    yield Line("personas.kind", kind, f"{count} given")
    if kind != "given":
        yield Line("personas.count", personas_to_write(found), "one a product, 200 at least")
    total = count or personas_to_write(found)
    yield Line("check_personas.min_personas", max(1, min(20, total)), f"{total} in all")


def _kept(now: str, wanted: str) -> str:
    """What fits, unless the user has chosen another way to write them."""
    return now if wanted == "openai" and now != "given" else wanted


def _why_teacher(kind: str, sizes: Sizes) -> str:
    if kind == "simulated":
        return "by wants and attributes; a stand-in for a model or people"
    return "a model has to look at the pictures" if not sizes.simulated else "as it was"


def _tournaments(kind: str) -> Iterator[Line]:
    val, test = (FREE_VAL, FREE_TEST) if kind in ("simulated", "file") else (PAID_VAL, PAID_TEST)
    why = "" if kind == "simulated" else "each asks the teacher many times"
    yield Line("tournaments.max_val_personas", val, why)
    yield Line("tournaments.max_test_personas", test, why)


def _labels(sizes: Sizes, params: Params) -> Iterator[Line]:
    groups, bands = groups_of(sizes)
    train, people = sizes.products.train, sizes.personas.train
    yield Line("label.groups", groups, f"{people} personas and {train} products to train on")
    if len(params.label.band_edges) == len(bands) - 1:
        yield Line("label.band_sizes", bands, f"{sum(bands)} pictures a call")
    yield Line("label.candidates", min(10, max(1, train // 5)))
    yield Line("label.audit_fraction", _at_least(AUDITS, groups, 0.05), "asked twice")
    yield Line("label.pair_fraction", _at_least(PAIRS, groups, 0.02), "likewise, two pictures")
    batch = 64 if groups >= 250 else max(8, groups // 4)
    yield Line("distill.batch_groups", batch, "enough steps a cycle")


def _at_least(count: int, groups: int, share: float) -> float:
    """The share that makes so many of the groups, half of them at most."""
    return min(0.5, max(share, math.ceil(100 * count / groups) / 100))
