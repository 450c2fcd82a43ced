"""ConCon-Chi and DeepFashion2 (PerVL) in small, in the form in which they are published."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from benchmarks.published import run as concept_benchmark
from benchmarks.published.conconchi import read_conconchi
from benchmarks.published.perval import read_perval
from benchmarks.published.run import COLUMNS, evaluate, table
from pipelines.subjects.measure import encode_kindred, measure
from retrieval.concepts.learning import Settings
from retrieval.encoder import create_encoder, save_encoder


def _picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    color = tuple(path.name.encode()[:3])
    Image.new("RGB", (24, 24), color).save(path, "JPEG")


def _row(label, concepts, truths, more=(), kind="single"):
    row = {"LABEL": label, "CONCEPTS": concepts, "GTS": truths, "ADDITIONAL GTS": list(more)}
    return row | {"KIND": kind, "ENV": "home"}


TRAIN = [
    _row("*", [3], ["t1.jpg", "t2.jpg"]),
    _row("*", [3], ["t2.jpg", "t3.jpg"]),  # t2 again
    _row("*", [5], ["t4.jpg"]),
]
TEST = [
    _row("* on a table", [3], ["a.jpg"], ["b.jpg", "t3.jpg"]),  # t3 is a training picture
    _row("* on the floor", [3], ["b.jpg"], ["nowhere.jpg"]),  # in no row's GTS
    _row("* beside *", [3, 5], ["ab.jpg", "ab.jpg"]),
    _row("* in a box", [5], ["c.jpg"], ["ab.jpg"]),
    _row("a toy on a table", [], ["n1.jpg", "n2.jpg"], kind="negative"),
    _row("a bear", [5], ["n3.jpg"], kind="negative"),
]


@pytest.fixture
def conconchi(tmp_path):
    """Writes the dataset, and returns how to read it."""

    def make(train=TRAIN, test=TEST, without=()):
        annotations = tmp_path / "data" / "annotations"
        annotations.mkdir(parents=True)
        for name, rows in (("train", train), ("test", test)):
            (annotations / f"{name}.json").write_text(json.dumps({"data": rows}))
        for row in (*TRAIN, *TEST):
            for name in (*row["GTS"], *row["ADDITIONAL GTS"]):
                if name not in without:
                    _picture(tmp_path / "data" / "images" / name)
        return read_conconchi(tmp_path, "thing")

    return make


def _names(paths):
    return [str(path).rsplit("/", maxsplit=1)[-1] for path in paths]


def _queries(data, kind):
    return {
        (query["text"], *query["concepts"]): _names(query["truths"])
        for query in data.queries
        if query["kind"] == kind
    }


def test_conconchi_photos_are_the_training_rows_without_doubles(conconchi):
    data = conconchi()
    photos = {name: _names(paths) for name, paths in data.photos.items()}
    assert photos == {"concept-3": ["t1.jpg", "t2.jpg", "t3.jpg"], "concept-5": ["t4.jpg"]}
    assert data.nouns == {"concept-3": "thing", "concept-5": "thing"}


def test_conconchi_pool_holds_every_test_picture_once_negatives_too(conconchi):
    shown = {_names([row["image"]])[0]: row["concepts"] for row in conconchi().gallery}
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
    assert _queries(data, "context") == {
        ("* on a table", "concept-3"): ["a.jpg", "b.jpg"],
        ("* on the floor", "concept-3"): ["b.jpg"],
        ("* in a box", "concept-5"): ["c.jpg", "ab.jpg"],
    }
    assert _queries(data, "multi") == {("* beside *", "concept-3", "concept-5"): ["ab.jpg"]}
    assert _queries(data, "concept_only") == {
        ("An image of *", "concept-3"): ["a.jpg", "b.jpg"],
        ("An image of *", "concept-5"): ["c.jpg", "n3.jpg"],
    }


def _found(data, text, concepts, ranking):
    """The metrics of one query that ranks the pool so; with pictures as axes it is its scores."""
    names = [_names([row["image"]])[0] for row in data.gallery]
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
        _row("* on a table", [3], ["a.jpg"]),
        _row("* in a box", [5], ["a.jpg", "c.jpg"]),
        _row("* beside *", [3, 5], ["ab.jpg"]),
        _row("* alone", [5], ["ab.jpg"]),
    ]
    data = conconchi(test=test)
    assert _queries(data, "concept_only") == {
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
        rows.append(_row(label, concepts, some(2), more))
    rows.append(_row("nothing", [], some(3), kind="negative"))
    rows.append(_row("a toy", [int(rng.choice([3, 5]))], some(2), kind="negative"))
    return rows


@pytest.mark.parametrize("seed", range(25))
def test_the_difference_to_the_published_evaluation_is_nought(tmp_path, seed):
    rng = np.random.default_rng(seed)
    train, test = [_row("*", [c], [f"t{c}.jpg"]) for c in (3, 5, 7)], _random_rows(rng)
    annotations = tmp_path / "data" / "annotations"
    annotations.mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        (annotations / f"{name}.json").write_text(json.dumps({"data": rows}))
    (tmp_path / "data" / "images").mkdir()
    for row in (*train, *test):
        for name in row["GTS"]:
            (tmp_path / "data" / "images" / name).touch()
    data = read_conconchi(tmp_path, "thing")
    names = [_names([row["image"]])[0] for row in data.gallery]
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
        (_row("* on a table", [3, 5], ["a.jpg"]), "row 0 has label .* expected a [*] for each"),
        (_row("a table", [], ["a.jpg"]), "row 0 has label"),
        (_row("* on a table", [9], ["a.jpg"]), r"row 0 asks for \['concept-9'\]"),
        (_row("* on a table", 3, ["a.jpg"]), "row 0: CONCEPTS is 3, expected a list of int"),
        (_row("* on a table", [3], [1]), r"row 0: GTS is \[1\], expected a list of str"),
        (_row("* on a table", [3], []), "row 0: LABEL .* expected both"),
        ("* on a table", "row 0 is .*, expected an object"),
    ],
)
def test_a_malformed_row_is_named(conconchi, row, expected):
    with pytest.raises(SystemExit, match=expected):
        conconchi(test=[row])


def test_a_training_row_with_two_concepts_is_refused(conconchi):
    with pytest.raises(SystemExit, match=r"train.json: row 0 has concepts \[3, 5\], expected one"):
        conconchi(train=[_row("* and *", [3, 5], ["t1.jpg"])])


def test_annotations_without_rows_are_refused(conconchi):
    with pytest.raises(SystemExit, match=r"test.json: got no rows"):
        conconchi(test=[])


CODES = {"101": [f"p{n}.jpg" for n in range(9)], "202": ["q0.jpg", "q0.jpg"]}
NAMES = [("101", "dress"), ("202", "long sleeve top"), ("303", "vest")]
POOL = [
    ("g1.jpg", "A person in the street.", "101"),
    ("g2.jpg", "A person on a sofa.", "101"),
    ("g3.jpg", "A person in a park.", "202"),
    ("g4.jpg", "A person in a park.", "999"),  # of no concept: a distractor
    ("q0.jpg", "A person.", "202"),  # learned from, so not searched
]
SHORT = [
    ("g1.jpg", "a person outdoors", "101"),
    ("g3.jpg", "photo of a person behind persons", "202"),
    ("v1.jpg", "a person", "303"),  # of the other split
]


@pytest.fixture
def perval(tmp_path):
    """Writes the dataset, and returns how to read it."""

    def make(blocks=CODES, short=SHORT, names=NAMES, without=()):
        lines = [f"codes_infer/{c}:\n" + "\n".join(some) + "\n" for c, some in blocks.items()]
        (tmp_path / "test_fsl_train.txt").write_text("\n".join(lines))
        columns = ["image_name", "caption", "pair_id"]
        for file, header, rows in (
            ("train_coarse_grained_names.csv", ["unique_pair_ids", "pair_id_categories"], names),
            ("test_captions.csv", columns, POOL),
            ("shortened_deepfashion2_captions.csv", columns, short),
        ):
            with (tmp_path / file).open("w", newline="") as stream:
                csv.writer(stream).writerows([header, *rows])
        pictures = [name for some in CODES.values() for name in some]
        for name in {*pictures, *(row[0] for row in POOL)} - set(without):
            _picture(tmp_path / "train" / "image" / name)
        return read_perval(tmp_path)

    return make


def test_perval_draws_five_photos_with_a_fixed_seed(perval, tmp_path):
    data = perval()
    drawn = _names(data.photos["101"])
    assert len(set(drawn)) == 5
    assert set(drawn) < set(CODES["101"])
    assert sorted(drawn) != CODES["101"][:5]  # at random, not the first
    assert _names(data.photos["202"]) == ["q0.jpg"]  # all where there are no more
    assert read_perval(tmp_path).photos == data.photos
    assert data.nouns == {"101": "dress", "202": "long sleeve top"}


def test_perval_each_photo_is_drawn_about_as_often_as_any_other(perval):
    """Of forty concepts with nine photos each: 22 draws expected of a place, spread by 3.1."""
    blocks = {str(code): [f"p{n}.jpg" for n in range(9)] for code in range(40)}
    data = perval(blocks=blocks, names=[(code, "dress") for code in blocks], short=SHORT[2:])
    drawn = Counter(name for paths in data.photos.values() for name in _names(paths))
    assert all(9 <= drawn[f"p{n}.jpg"] <= 35 for n in range(9))


def test_perval_the_concept_is_switched_on_once_in_a_caption_that_names_it_twice(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "pipelines.subjects.measure.encode_queries",
        lambda tower, texts, rows: asked.append((texts, rows)),
    )
    query = {"text": "a person wearing * and a person wearing *", "concepts": ["a"]}
    encode_kindred(None, [query], {"a": "A"})
    assert asked == [(["a person wearing {a} and a person wearing {a}"], [["A"]])]


def test_perval_pool_is_what_has_captions_but_no_photo_that_is_learned_from(perval):
    shown = {_names([row["image"]])[0]: row["concepts"] for row in perval().gallery}
    assert shown == {"g1.jpg": ["101"], "g2.jpg": ["101"], "g3.jpg": ["202"], "g4.jpg": []}


def test_perval_a_person_wears_the_concept(perval):
    data = perval()
    assert _queries(data, "context") == {
        ("a person wearing * outdoors", "101"): ["g1.jpg"],
        ("photo of a person wearing * behind person wearing *s", "202"): ["g3.jpg"],
    }
    assert _queries(data, "concept_only") == {
        ("An image of *", "101"): ["g1.jpg", "g2.jpg"],
        ("An image of *", "202"): ["g3.jpg"],
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"short": [("g1.jpg", "a dog", "101")]}, "line 2: caption 'a dog' has no person"),
        ({"short": [("g1.jpg", "", "101")]}, "line 2 is"),
        ({"names": NAMES[:1]}, r"no category for \['202'\]"),
        ({"blocks": {"101": []}}, r"got no photos for \['101'\]"),
        ({"without": ["q0.jpg"]}, "1 files that DeepFashion2 .* are missing"),
    ],
)
def test_perval_what_is_wrong_is_named(perval, change, expected):
    with pytest.raises(SystemExit, match=expected):
        perval(**change)


def test_perval_a_photo_outside_a_block_is_named(perval, tmp_path):
    perval()
    (tmp_path / "test_fsl_train.txt").write_text("stray.jpg\n")
    with pytest.raises(SystemExit, match=r"line 1 is 'stray.jpg', expected a line"):
        read_perval(tmp_path)


def test_perval_other_columns_are_refused(perval, tmp_path):
    perval()
    (tmp_path / "test_captions.csv").write_text("image,caption\na.jpg,b\n")
    with pytest.raises(SystemExit, match=r"got columns .* expected image_name, caption, pair_id"):
        read_perval(tmp_path)


def test_perval_missing_files_are_listed(tmp_path):
    with pytest.raises(SystemExit, match="4 files that DeepFashion2"):
        read_perval(tmp_path)


def test_the_row_of_the_papers_table():
    metrics = {
        "context": {"mrr": 0.40721, "recall@5": 0.5131},
        "concept_only": {"mrr": 0.6596, "map": None},
    }
    assert table("deepfashion2", {"ours": metrics}).splitlines() == [
        "| method | context mRR | context R@5 | concept mRR | concept mAP |",
        "| --- | --- | --- | --- | --- |",
        "| ours | 40.72 | 51.31 | 65.96 | - |",
    ]


@pytest.mark.filterwarnings("ignore::retrieval.concepts.concept.ConceptWarning")  # few photos
@pytest.mark.parametrize("name", ["conconchi", "perval"])
def test_a_benchmark_comes_out_as_a_row(name, request, monkeypatch):
    """From files to table, with an image tower that saw nothing: numbers, all within bounds."""
    monkeypatch.setattr(concept_benchmark, "CHUNK", 3)
    data = request.getfixturevalue(name)()
    metrics = evaluate(create_encoder("minilm-resnet10t", None), data, Settings(3, 0.01, 0.1))
    benchmark = "deepfashion2" if name == "perval" else name
    assert list(metrics) == ["text only", "kindred"]
    for found in metrics.values():
        for _, kind, metric in COLUMNS[benchmark]:
            assert 0 <= found[kind][metric] <= 1
    assert len(table(benchmark, metrics).splitlines()) == 4


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    save_encoder(create_encoder("minilm-resnet10t", None), folder)
    return folder


@pytest.mark.filterwarnings("ignore::retrieval.concepts.concept.ConceptWarning")  # few photos
@pytest.mark.parametrize("name", ["conconchi", "perval"])
def test_the_command_prints_the_row_and_writes_every_metric(
    name, request, monkeypatch, tmp_path, base_model, capsys
):
    request.getfixturevalue(name)()
    benchmark = "deepfashion2" if name == "perval" else name
    model, output = ["--model", str(base_model)], ["--output", str(tmp_path / "out.json")]
    arguments = [benchmark, str(tmp_path), *model, "--steps", "3", *output]
    monkeypatch.setattr("sys.argv", ["published", *arguments])
    concept_benchmark.main()
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert list(found) == ["text only", "kindred"]
    assert table(benchmark, found) in printed
    assert "2 concepts" in printed
