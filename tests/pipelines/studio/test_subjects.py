from collections import Counter

import pytest

from pipelines.studio.subjects import plan_subjects
from pipelines.studio.vocabulary import KINDS, SCENES
from retrieval.storage.schema import SUBJECTS

COUNT = 6


@pytest.fixture(scope="module", params=[2, COUNT, 12, len(KINDS)])
def plan(request):
    return plan_subjects(request.param, seed=0)


def _role(plan, role):
    return [(row, picture) for row, picture in plan if row["role"] == role]


def _names(plan):
    return list(dict.fromkeys(row["concepts"][0] for row, _ in _role(plan, "reference")))


def _pairs(names):
    """Each subject with the three after it."""
    return [
        pair
        for number, one in enumerate(names)
        for pair in zip([one] * 3, names[number + 1 :], strict=False)
    ]


def _looks(plan):
    """Each subject's look."""
    looks = {}
    for row, picture in _role(plan, "reference"):
        looks.setdefault(row["concepts"][0], picture.looks[0])
    return looks


def test_every_subject_has_a_kind_and_a_look_of_its_own(plan):
    looks = list(_looks(plan).values())
    assert len({look.kind for look in looks}) == len(looks)
    assert len({(look.color, look.motif) for look in looks}) == len(looks)
    for look in looks:
        assert look.pattern != "plain"
        assert look.motif != "none"
        assert look.accent != look.color


def test_references_show_the_subject_alone_in_five_scenes(plan):
    looks = _looks(plan)
    for name in _names(plan):
        own = [(r, p) for r, p in _role(plan, "reference") if r["concepts"] == [name]]
        assert len({picture.scene for _, picture in own}) == len(own) == 5
        assert all(picture.looks == (looks[name],) for _, picture in own)
        assert all(row["noun"] == looks[name].kind for row, _ in own)


def test_no_reference_is_in_the_gallery(plan):
    references = {picture for _, picture in _role(plan, "reference")}
    gallery = {picture for _, picture in _role(plan, "gallery")}
    assert not references & gallery
    assert len(gallery) == len(_role(plan, "gallery"))


def test_the_gallery_is_composed_as_described(plan):
    """Per subject: every scene alone, every scene of the same kind, four of its look; pairs."""
    names, looks = _names(plan), _looks(plan)
    gallery = _role(plan, "gallery")
    pairs = _pairs(names)
    assert len(gallery) == len(names) * (2 * len(SCENES) + 4) + len(pairs) * (2 + 3)
    shown = Counter(tuple(row["concepts"]) for row, _ in gallery)
    assert all(shown[pair] == 2 for pair in pairs)
    for name in names:
        assert shown[(name,)] == len(SCENES)
        alone = [picture for row, picture in gallery if row["concepts"] == [name]]
        assert {picture.scene for picture in alone} == set(SCENES)
        assert all(picture.looks == (looks[name],) for picture in alone)
    assert shown[()] == len(names) * (len(SCENES) + 4) + 3 * len(pairs)
    assert sum(shown.values()) == len(gallery)


def test_distractors_are_hard_and_never_a_subject(plan):
    looks = _looks(plan)
    nobody = [(row, picture) for row, picture in _role(plan, "gallery") if not row["concepts"]]
    for name, own in looks.items():
        same_kind = [(r, p) for r, p in nobody if r["row_id"].startswith(f"{name}-kind-")]
        same_look = [(r, p) for r, p in nobody if r["row_id"].startswith(f"{name}-look-")]
        assert {picture.scene for _, picture in same_kind} == set(SCENES)
        assert len(same_look) == 4
        for _, picture in same_kind:
            [look] = picture.looks
            assert look.kind == own.kind
            # Told apart by its pattern and by its colour or its motif, never by more.
            assert look.pattern != own.pattern
            assert (look.color == own.color) != (look.motif == own.motif)
        by_color = sum(picture.looks[0].color != own.color for _, picture in same_kind)
        assert by_color == len(SCENES) // 2
        for _, picture in same_look:
            [look] = picture.looks
            assert look.kind != own.kind
            assert (look.color, look.pattern, look.motif, look.accent) == (
                (own.color, own.pattern, own.motif, own.accent)
            )
    subjects = set(looks.values())
    assert all(subjects.isdisjoint(picture.looks) for _, picture in nobody)


def test_pairs_show_both_side_by_side_or_both_kinds_in_other_looks(plan):
    looks = _looks(plan)
    for one, other in _pairs(_names(plan)):
        both = (looks[one], looks[other])
        rows = [
            r for r in _role(plan, "gallery") if r[0]["row_id"].startswith(f"{one}-with-{other}")
        ]
        assert [row["concepts"] for row, _ in rows] == [[one, other]] * 2 + [[]] * 3
        assert all(picture.looks == both for _, picture in rows[:2])
        for _, picture in rows[2:]:
            assert [look.kind for look in picture.looks] == [look.kind for look in both]
            assert all(
                look.pattern != own.pattern for look, own in zip(picture.looks, both, strict=True)
            )
        assert len({picture.scene for _, picture in rows}) == len(rows)


def test_queries_are_one_alone_one_a_scene_and_one_for_each_pair(plan):
    names = _names(plan)
    kinds = Counter(row["kind"] for row, _ in _role(plan, "query"))
    assert kinds == {
        "concept_only": len(names),
        "context": len(names) * len(SCENES),
        "multi": len(_pairs(names)),
    }
    for row, picture in _role(plan, "query"):
        assert picture is None
        assert row["text"].count("*") == len(row["concepts"]) == (1 + (row["kind"] == "multi"))


def test_truths_are_exactly_what_the_query_asks_for(plan):
    """Worked out anew from what the pictures show."""
    gallery = [(r["row_id"], set(r["concepts"]), p.scene) for r, p in _role(plan, "gallery")]
    for row, _ in _role(plan, "query"):
        named = set(row["concepts"])
        if row["kind"] == "context":
            [scene] = [s for s, words in SCENES.items() if row["text"] == f"* {words}"]
            expected = [i for i, shown, where in gallery if named <= shown and where == scene]
        else:
            expected = [i for i, shown, _ in gallery if shown == named]
        assert sorted(row["truths"]) == sorted(expected)
        assert expected


def test_rows_fit_the_table_and_have_ids_of_their_own(plan):
    assert len({row["row_id"] for row, _ in plan}) == len(plan)
    for row, _ in plan:
        assert row.keys() == set(SUBJECTS.names)
    for row, picture in plan:
        if picture is not None:
            assert (row["kind"], row["text"], row["truths"]) == ("", "", [])


def test_subjects_follow_from_their_seed():
    assert plan_subjects(4, seed=3) == plan_subjects(4, seed=3)
    assert plan_subjects(4, seed=3) != plan_subjects(4, seed=4)


def test_no_subjects_are_no_rows():
    assert plan_subjects(0, seed=0) == []


@pytest.mark.parametrize("count", [1, -1, len(KINDS) + 1])
def test_a_number_of_subjects_that_cannot_be_is_refused(count):
    with pytest.raises(
        ValueError, match=rf"got subjects: {count}, expected 0 or 2 to {len(KINDS)}"
    ):
        plan_subjects(count, seed=0)
