"""ConCon-Chi by the paper's protocol: worked cases, and an evaluation in plain loops."""

import json

import numpy as np
import pytest

from benchmarks.published.conconchi import read_conconchi
from pipelines.subjects.measure import measure
from tests.benchmarks.conftest import annotation, names_of, queries_of


def test_conconchi_photos_are_the_training_rows_without_doubles(conconchi):
    data = conconchi()
    photos = {name: names_of(paths) for name, paths in data.photos.items()}
    assert photos == {"concept-3": ["t1.jpg", "t2.jpg", "t3.jpg"], "concept-5": ["t4.jpg"]}
    assert data.nouns == {"concept-3": "thing", "concept-5": "thing"}


def test_conconchi_pool_holds_every_test_picture_once_negatives_too(conconchi):
    shown = {names_of([row["image"]])[0]: row["concepts"] for row in conconchi().gallery}
    assert shown == {
        "a.jpg": ["concept-3"],
        "b.jpg": ["concept-3"],
        "ab.jpg": ["concept-3", "concept-5"],
        "c.jpg": ["concept-5"],
        "n1.jpg": [],
        "n2.jpg": [],
        "n3.jpg": ["concept-5"],  # a negative keeps its concept
    }


def test_conconchi_extra_truths_count_and_negatives_ask_nothing(conconchi):
    data = conconchi()
    assert queries_of(data, "context") == {
        ("* on a table", "concept-3"): ["a.jpg", "b.jpg"],
        ("* on the floor", "concept-3"): ["b.jpg"],
        ("* in a box", "concept-5"): ["c.jpg", "ab.jpg"],
    }
    assert queries_of(data, "multi") == {("* beside *", "concept-3", "concept-5"): ["ab.jpg"]}
    assert queries_of(data, "concept_only") == {
        ("An image of *", "concept-3"): ["a.jpg", "b.jpg"],
        ("An image of *", "concept-5"): ["c.jpg", "n3.jpg"],
    }


def _found(data, text, concepts, ranking):
    """The metrics of one query that ranks the pool so; with pictures as axes it is its scores."""
    names = [names_of([row["image"]])[0] for row in data.gallery]
    assert sorted(ranking) == sorted(names)
    scores = -np.array([[float(ranking.index(name)) for name in names]])
    [asked] = [q for q in data.queries if (q["text"], q["concepts"]) == (text, concepts)]
    return measure(data.gallery, np.eye(len(names)), [asked], scores, distractors=False)


RANKING = ["n1.jpg", "ab.jpg", "n3.jpg", "a.jpg", "b.jpg", "n2.jpg", "c.jpg"]


def test_an_additional_truth_in_the_pool_counts_and_a_training_picture_does_not(conconchi):
    """Truths at 4 and 5 of 7; the training picture would be a third that is never found."""
    found = _found(conconchi(), "* on a table", ["concept-3"], RANKING)
    assert found["context"]["map"] == pytest.approx((1 / 4 + 2 / 5) / 2)
    assert (found["context"]["mrr"], found["context"]["recall@5"]) == (1 / 4, 1.0)


def test_a_context_query_searches_pictures_of_none_and_of_two_as_well(conconchi):
    data = conconchi()
    found = _found(data, "* in a box", ["concept-5"], RANKING)
    assert found["context"]["map"] == pytest.approx((1 / 2 + 2 / 7) / 2)
    both = _found(data, "* beside *", ["concept-3", "concept-5"], RANKING)
    assert both["multi"]["map"] == both["multi"]["mrr"] == 1 / 2


def test_a_concept_alone_is_searched_among_pictures_of_exactly_one(conconchi):
    """Left of the ranking: n3, a, b, c. Of concept 5 the first and the last."""
    data = conconchi()
    found = _found(data, "An image of *", ["concept-5"], RANKING)
    assert found["concept_only"]["map"] == pytest.approx((1 / 1 + 2 / 4) / 2)
    found = _found(data, "An image of *", ["concept-3"], RANKING)
    assert found["concept_only"]["mrr"] == 1 / 2


def test_of_a_picture_in_two_rows_each_row_counts_by_itself(conconchi):
    """Of 3 in one row and of 5 in another it is of exactly one, twice; not of two."""
    test = [
        annotation("* on a table", [3], ["a.jpg"]),
        annotation("* in a box", [5], ["a.jpg", "c.jpg"]),
        annotation("* beside *", [3, 5], ["ab.jpg"]),
        annotation("* alone", [5], ["ab.jpg"]),
    ]
    data = conconchi(test=test)
    assert queries_of(data, "concept_only") == {
        ("An image of *", "concept-3"): ["a.jpg"],
        ("An image of *", "concept-5"): ["a.jpg", "c.jpg", "ab.jpg"],
    }
    found = _found(data, "An image of *", ["concept-5"], ["c.jpg", "ab.jpg", "a.jpg"])
    assert found["concept_only"]["map"] == 1.0  # all three are searched


def _reference(test, train_photos, scores):
    """The published evaluation in loops: metric -> kind -> values (METRICS as the paper has them).

    `scores[label, concepts]` -> picture -> score.
    """
    pool = sorted({name for row in test for name in row["GTS"]})
    single = {name for row in test if len(row["CONCEPTS"]) == 1 for name in row["GTS"]}
    asked = []
    for row in test:
        if row["KIND"] != "negative":
            truths = {*row["GTS"], *(name for name in row["ADDITIONAL GTS"] if name in pool)}
            kind = "context" if len(row["CONCEPTS"]) == 1 else "multi"
            asked.append((kind, row["LABEL"], tuple(row["CONCEPTS"]), truths, pool))
    for concept in train_photos:
        truths = {name for row in test if row["CONCEPTS"] == [concept] for name in row["GTS"]}
        if truths:
            asked.append(("concept_only", "An image of *", (concept,), truths, sorted(single)))
    found = {}
    for kind, label, concepts, truths, candidates in asked:
        of = scores[label, concepts]
        order = sorted(candidates, key=lambda name: -of[name])
        ranks = [place for place, name in enumerate(order, start=1) if name in truths]
        average = sum(i / rank for i, rank in enumerate(ranks, start=1)) / len(ranks)
        for name in (kind, "all") if kind != "concept_only" else (kind,):
            found.setdefault(("map", name), []).append(average)
            found.setdefault(("mrr", name), []).append(1 / ranks[0])
            if kind != "concept_only":
                found.setdefault(("recall@1", name), []).append(ranks[0] <= 1)
    return {key: sum(values) / len(values) for key, values in found.items()}


def _random_rows(rng):
    """A test set of the published form: every kind of row, pictures in several of them."""
    names = [f"r{number}.jpg" for number in range(14)]

    def some(most):
        return [str(name) for name in rng.choice(names, rng.integers(1, most + 1), replace=False)]

    rows = []
    for number in range(12):
        concepts = [int(c) for c in rng.permutation([3, 5, 7])[: rng.integers(1, 3)]]
        more = [*some(3), "t1.jpg", "nowhere.jpg"][rng.integers(0, 5) :]
        label = f"{' and '.join('*' * len(concepts))} {number}"
        rows.append(annotation(label, concepts, some(2), more))
    rows.append(annotation("nothing", [], some(3), kind="negative"))
    rows.append(annotation("a toy", [int(rng.choice([3, 5]))], some(2), kind="negative"))
    return rows


@pytest.mark.parametrize("seed", range(25))
def test_the_difference_to_the_published_evaluation_is_nought(tmp_path, seed):
    rng = np.random.default_rng(seed)
    train, test = [annotation("*", [c], [f"t{c}.jpg"]) for c in (3, 5, 7)], _random_rows(rng)
    annotations = tmp_path / "data" / "annotations"
    annotations.mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        (annotations / f"{name}.json").write_text(json.dumps({"data": rows}))
    (tmp_path / "data" / "images").mkdir()
    for row in (*train, *test):
        for name in row["GTS"]:
            (tmp_path / "data" / "images" / name).touch()
    data = read_conconchi(tmp_path, "thing")
    names = [names_of([row["image"]])[0] for row in data.gallery]
    vectors = rng.permuted(np.tile(np.arange(len(names)), (len(data.queries), 1)), axis=1) / 16
    scores = {
        (query["text"], tuple(int(name[8:]) for name in query["concepts"])): dict(
            zip(names, row, strict=True)
        )
        for query, row in zip(data.queries, vectors, strict=True)
    }
    found = measure(data.gallery, np.eye(len(names)), data.queries, vectors, distractors=False)
    expected = _reference(test, (3, 5, 7), scores)
    assert {key for _, key in expected} == {"context", "multi", "all", "concept_only"}
    for (metric, kind), value in expected.items():
        assert found[kind][metric] == pytest.approx(value, abs=1e-12)


def test_missing_pictures_are_listed(conconchi):
    with pytest.raises(SystemExit) as error:
        conconchi(without=("t4.jpg",))
    assert "1 files that ConCon-Chi needs are missing" in str(error.value)
    assert "t4.jpg" in str(error.value)


def test_missing_annotations_are_named(tmp_path):
    with pytest.raises(SystemExit, match=r"2 files that ConCon-Chi needs are missing"):
        read_conconchi(tmp_path, "thing")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            annotation("* on a table", [3, 5], ["a.jpg"]),
            "row 0 has label .* expected a [*] for each",
        ),
        (annotation("a table", [], ["a.jpg"]), "row 0 has label"),
        (annotation("* on a table", [9], ["a.jpg"]), r"row 0 asks for \['concept-9'\]"),
        (annotation("* on a table", 3, ["a.jpg"]), "row 0: CONCEPTS is 3, expected a list of int"),
        (annotation("* on a table", [3], [1]), r"row 0: GTS is \[1\], expected a list of str"),
        (annotation("* on a table", [3], []), "row 0: LABEL .* expected both"),
        ("* on a table", "row 0 is .*, expected an object"),
    ],
)
def test_a_malformed_row_is_named(conconchi, row, expected):
    with pytest.raises(SystemExit, match=expected):
        conconchi(test=[row])


def test_a_training_row_with_two_concepts_is_refused(conconchi):
    with pytest.raises(SystemExit, match=r"train.json: row 0 has concepts \[3, 5\], expected one"):
        conconchi(train=[annotation("* and *", [3, 5], ["t1.jpg"])])


def test_annotations_without_rows_are_refused(conconchi):
    with pytest.raises(SystemExit, match=r"test.json: got no rows"):
        conconchi(test=[])
