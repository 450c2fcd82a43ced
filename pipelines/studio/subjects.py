"""The studio's subjects for concepts, and the gallery in which they are to be found.

Each subject is one thing with a look of its own. Per subject the gallery holds, composition fixed:
one picture in every scene; as many of the same kind with other looks, one in every scene; and four
of other kinds with the same look. With each of the three subjects after it: both side by side in
two pictures, and in three both kinds in other looks. Reference photos are in five scenes, and none
of them is in the gallery.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.studio.products import Picture
from pipelines.studio.render import Look
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES
from retrieval.storage.schema import SubjectRow

REFERENCES = 5
SAME_LOOK = 4
PAIRED_WITH = 3  # of the subjects after it
PAIR_PICTURES = 2
PAIR_DISTRACTORS = 3
SUBJECT_PATTERNS = PATTERNS[1:]
SUBJECT_MOTIFS = MOTIFS[1:]

Planned = tuple[SubjectRow, Picture | None]


def plan_subjects(count: int, seed: int) -> list[Planned]:
    """Rows of the subjects table, as yet without pictures, and what to render for each.

    Queries have no picture. Deterministic in its arguments.

    Raises:
        ValueError: More subjects than kinds, or a single one, which makes no pair.
    """
    if count == 0:
        return []
    if not 2 <= count <= len(KINDS):
        msg = f"got subjects: {count}, expected 0 or 2 to {len(KINDS)}: each has a kind of its own"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    looks = _looks(count, rng)
    names = [f"{look.kind.replace(' ', '-')}-{number:02d}" for number, look in enumerate(looks)]
    plan: list[Planned] = []
    for name, look in zip(names, looks, strict=True):
        plan += _references(name, look, rng)
        plan += _singles(name, look, rng)
        plan += _distractors(name, look, rng)
    for one, other in _pairs(count):
        plan += _pair_pictures((names[one], names[other]), (looks[one], looks[other]), rng)
    return plan + list(_queries(names, plan))


def _pairs(count: int) -> list[tuple[int, int]]:
    """Numbers of the subjects that a query names together."""
    return [
        (one, one + step)
        for one in range(count)
        for step in range(1, PAIRED_WITH + 1)
        if one + step < count
    ]


def _looks(count: int, rng: np.random.Generator) -> list[Look]:
    """Different kinds, and no two subjects with the same colour and motif."""
    kinds = rng.permutation([kind.noun for kind in KINDS])[:count]
    pairs = rng.permutation([(color, motif) for color in COLORS for motif in SUBJECT_MOTIFS])
    accents = list(COLORS)
    return [
        Look(
            kind=str(kind),
            color=str(color),
            pattern=str(rng.choice(SUBJECT_PATTERNS)),
            motif=str(motif),
            accent=str(rng.choice([accent for accent in accents if accent != color])),
        )
        for kind, (color, motif) in zip(kinds, pairs[:count], strict=True)
    ]


def _references(name: str, look: Look, rng: np.random.Generator) -> list[Planned]:
    scenes = rng.permutation(list(SCENES))[:REFERENCES]
    return [
        (
            _row(f"{name}-ref-{scene}", "reference", [name], noun=look.kind),
            _picture(look, scene, rng),
        )
        for scene in scenes
    ]


def _singles(name: str, look: Look, rng: np.random.Generator) -> list[Planned]:
    return [
        (_row(f"{name}-in-{scene}", "gallery", [name]), _picture(look, scene, rng))
        for scene in SCENES
    ]


def _distractors(name: str, look: Look, rng: np.random.Generator) -> list[Planned]:
    """Same kind in another look, hard by colour or motif in turn; same look on another kind."""
    plan: list[Planned] = []
    for number, scene in enumerate(SCENES):
        row = _row(f"{name}-kind-{scene}", "gallery", [])
        plan.append((row, _picture(_relooked(look, number, rng), scene, rng)))
    for number in range(SAME_LOOK):
        kind = _other([kind.noun for kind in KINDS], look.kind, rng)
        row = _row(f"{name}-look-{number}", "gallery", [])
        scene = str(rng.choice(list(SCENES)))
        plan.append((row, _picture(replace(look, kind=kind), scene, rng)))
    return plan


def _relooked(look: Look, number: int, rng: np.random.Generator) -> Look:
    """The same kind in another look: of the colour or of the motif one stays, in turn."""
    return replace(
        look,
        color=_other(COLORS, look.color, rng) if number % 2 else look.color,
        motif=look.motif if number % 2 else _other(SUBJECT_MOTIFS, look.motif, rng),
        pattern=_other(SUBJECT_PATTERNS, look.pattern, rng),
    )


def _pair_pictures(
    names: tuple[str, str], looks: tuple[Look, Look], rng: np.random.Generator
) -> list[Planned]:
    """Pictures of both, and of both kinds in other looks."""
    scenes = [str(scene) for scene in rng.permutation(list(SCENES))]
    shown = [(list(names), looks)] * PAIR_PICTURES
    for number in range(PAIR_DISTRACTORS):
        one, other = (_relooked(look, number, rng) for look in looks)
        shown.append(([], (one, other)))
    return [
        (
            _row(f"{names[0]}-with-{names[1]}-{number}", "gallery", concepts),
            Picture(both, scene, int(rng.integers(2**31))),
        )
        for number, (scene, (concepts, both)) in enumerate(zip(scenes, shown, strict=False))
    ]


def _queries(names: list[str], plan: list[Planned]) -> Iterator[Planned]:
    gallery = [
        (row["row_id"], set(row["concepts"]), picture.scene)
        for row, picture in plan
        if row["role"] == "gallery" and picture is not None
    ]
    for name in names:
        alone = [row_id for row_id, shown, _ in gallery if shown == {name}]
        yield _query(f"{name}-only", "concept_only", [name], "an image of *", alone), None
        for scene, words in SCENES.items():
            truths = [
                row_id for row_id, shown, where in gallery if name in shown and where == scene
            ]
            yield _query(f"{name}-at-{scene}", "context", [name], f"* {words}", truths), None
    for one, other in _pairs(len(names)):
        pair = [names[one], names[other]]
        truths = [row_id for row_id, shown, _ in gallery if shown == set(pair)]
        yield _query(f"{pair[0]}-and-{pair[1]}", "multi", pair, "* and *", truths), None


def _row(row_id: str, role: str, concepts: list[str], noun: str = "") -> SubjectRow:
    return {
        "row_id": row_id,
        "role": role,
        "concepts": concepts,
        "noun": noun,
        "kind": "",
        "text": "",
        "image": "",
        "image_sha256": "",
        "truths": [],
    }


def _query(row_id: str, kind: str, concepts: list[str], text: str, truths: list[str]) -> SubjectRow:
    row = _row(row_id, "query", concepts)
    return {**row, "kind": kind, "text": text, "truths": truths}


def _picture(look: Look, scene: str, rng: np.random.Generator) -> Picture:
    return Picture((look,), str(scene), int(rng.integers(2**31)))


def _other(words: Any, word: str, rng: np.random.Generator) -> str:
    return str(rng.choice([other for other in words if other != word]))
