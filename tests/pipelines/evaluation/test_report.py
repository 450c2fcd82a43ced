import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from pipelines.evaluation.report import REPORT, write_report
from pipelines.pages.pictures import SIDE
from pipelines.run.paths import (
    CALIBRATION_FILE,
    CYCLES_FILE,
    EVALUATION,
    PERCENTILES_FILE,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    SLICES_FILE,
    TOURNAMENTS_FILE,
    WORST_FILE,
)
from retrieval.storage.files import write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, TOURNAMENTS, write_rows
from tests.pipelines.pages.html_page import EVIL, Page, stands_alone


def _model(mean, **other):
    row = {
        "mean_percentile": mean,
        "ci95": [mean - 0.0123, mean + 0.0145],
        "median_percentile": mean + 0.01,
        "within_kind_percentile": mean - 0.111,
        "recall@1": 0.0417,
        "recall@10": 0.2833,
        "ndcg@10": 0.1234,
        "tau": -0.12,
        "n": 1234,
    }
    return {**row, **other}


def _full():
    models = {"random": 0.501, "base": 0.7991, "text": 0.8383, "student": 0.9181, "ceiling": 0.9}
    captions = {"recall@1": 0.9512, "recall@10": 0.9934}
    concept = {
        "concept_only": {"map": 0.531, "mrr": 0.6278},
        "context": {"map": 0.5532, "mrr": 0.6627, "recall@1": 0.4167, "recall@5": 0.9583},
        "multi": {"map": 0.0134, "mrr": None, "recall@1": 0.0},
    }
    return {
        "persona": {model: _model(mean) for model, mean in models.items()},
        "persona_paraphrased": {"student": _model(0.8762)},
        "caption": {
            "base": captions,
            "student": {**captions, "image_to_text": {"recall@1": 0.9321, "recall@10": 1.0}},
            "chance": {"recall@1": 0.0017, "recall@10": 0.0167},
        },
        "concept": {
            "text_only": concept,
            "kindred": concept,
            "caption_recall@10": {"unmodified": 1.0, "adapted": 0.9832},
        },
        "comparison": {
            "gain": 0.119,
            "ci95": [0.0961, 0.1442],
            "p_value": 0.0005,
            "within_kind_gain": 0.0487,
            "gap_closed": 0.601,
            "gap_closed_ci95": [0.512, 0.689],
            "paraphrased_gain": 0.1083,
        },
        "slices": {"interests": {"unseen": {"n": 33, "gain": 0.05, "ci95": [0.0, 0.1]}}},
    }


def _product(number):
    return {
        "product_id": f"p{number}",
        "title": f"Title {number}",
        "caption": f"a caption {number}",
        "category": "",
        "price": 1.0,
        "attributes": {},
        "image": f"images/p{number}.png",
        "image_sha256": "",
        "split": "test",
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """What `evaluate` leaves: every table, and two personas that are served badly."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/catalog/images").mkdir(parents=True)
    noise = np.random.default_rng(0)
    products = [_product(number) for number in range(8)]
    products[0] |= {"title": EVIL, "caption": EVIL}
    for product in products[:-1]:  # of the last one the picture is lost
        pixels = noise.integers(0, 256, (300, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(PRODUCTS_FILE.parent / product["image"])
    write_rows(PRODUCTS_FILE, [*products, {**_product(9), "split": "train"}], PRODUCTS)
    wants = {"kind=mug": 0.5, f"kind={EVIL}": 2.0}
    persona = {"text": "", "split": "test", "paraphrase": "", "facets": {}}
    personas = [
        {**persona, "persona_id": "evil", "wants": wants},
        {**persona, "persona_id": "plain", "wants": {}},
    ]
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    _write_teacher("simulated")
    write_json(EVALUATION, _full())
    worst = {"percentile": 3 / 7, "base_percentile": 0.9365, "winner": "p0"}
    top = ["p1", "p2", "p3", "p4", "p7"]
    write_json(
        WORST_FILE,
        [
            {**worst, "persona_id": "evil", "text": EVIL, "top": top},
            {**worst, "persona_id": "plain", "text": "plain words", "top": top[:3]},
        ],
    )
    PERCENTILES_FILE.parent.mkdir(exist_ok=True)
    PERCENTILES_FILE.write_text(
        "model,percentile,share\nstudent,0.00,0.1\nstudent,0.50,0.9\nceiling,0.00,0\nceiling,0.50,1"
    )
    CYCLES_FILE.write_text("cycle,percentile,share\nbase,0.00,0.38\nbase,0.50,0.62\n")
    SLICES_FILE.write_text(
        "slice,value,n,clusters,base,student,gain,low,high\n"
        "interests,unseen,33,12,0.7,0.72,0.02,-0.034,0.0712\nown <b>,few,2,1,,,-0.4567,,\n"
        "interest,long <i>baths,31,31,0.7,0.6,-0.1,-0.155,-0.045\n"
    )
    CALIBRATION_FILE.write_text(
        "model,difference,share,n\nstudent,0.1,0.6432,40\nstudent,0.2,0.9,20\nstudent,0.3,1,1\n"
    )
    return tmp_path


def _write_teacher(name):
    row = {"persona_id": "evil", "split": "test", "winner": "p0", "finalists": ["p0"]}
    counts = {"calls": 6, "undecided": 0, "repeats": 1, "confidence": 1.0}
    write_rows(TOURNAMENTS_FILE, [{**row, **counts, "teacher": name}], TOURNAMENTS)


def _written():
    write_report()
    return REPORT.read_text(encoding="utf-8")


@pytest.fixture
def html(project):
    return _written()


@pytest.fixture
def page(html):
    return Page(html)


def test_it_is_a_page_of_its_own(html):
    assert stands_alone(html) == set()


def test_it_can_be_read_without_seeing_it(page):
    assert page.all("html", lang="en")
    assert len(page.all("h1")) == 1
    assert all(attrs.get("alt") for attrs in page.all("img"))
    drawings = page.all("svg")
    named = [attrs for attrs in drawings if attrs.get("role") == "img"]
    assert all(attrs["aria-label"] for attrs in named)
    assert len(named) == 4  # two models, one cycle, the calibration
    headers = page.all("th")
    assert headers
    assert all(attrs["scope"] in {"row", "col", "colgroup"} for attrs in headers)


SAID = (
    "what the teacher chose 11.9 points higher than the base model",
    "79.9 → 91.8 %, 95 % interval of the difference +9.6 to +14.4, p < 0.001",
    "over 1 234 personas and 8 products",
    "60 % of the distance",
    "of the gap to the ceiling closed 95 %: 51 to 69 % 60 %",
    "points gained within the wanted kind of product +4.9",
    "student, distilled 91.8 90.6 - 93.3 92.8 80.7 4.2 28.3 0.123 -0.12 1 234 87.6 86.4 - 89.1",
    "base model 79.9 78.7 - 81.4 80.9 68.8 4.2 28.3 0.123 -0.12 1 234 -",
    "33 of them stand among the slices",
    "student, distilled 95.1 99.3 93.2 100.0",
    "chance 0.2 1.7 - -",
    "unseen 33 / 12 +2.0 -3.4 to +7.1 70.0 → 72.0",
    "few 2 / 1 ◂ -45.7 - → -",
    "by interest: long <i>baths , -10.0 points (-15.5 to -4.5, 31 personas)",
    "0.100 64.3",
    "90 % in the top 50 %",
    "62 % in the top 50 %",
    "with the learned concept 53.1 62.8 55.3 66.3 41.7 95.8 1.3 - 0.0",
    "98.3 % of the captions",
    "at place 5 of 8: percentile 42.9 %, 93.7 % in the base model",
    "The two that it serves worst",
)


def test_it_says_the_numbers(page):
    assert [said for said in SAID if said not in page.text] == []


def test_what_people_wrote_stays_text(page, html):
    assert html.count("<script") == 0
    assert page.text.count(EVIL) == 1 + 2 + 1  # the persona, the product for both, the wants
    assert [attrs["alt"] for attrs in page.all("img")].count(EVIL) == 2
    assert "own <b>" in page.text
    assert not [attrs for attrs in page.all("img") if attrs["src"] == "x"]


def test_the_worst_have_a_picture_of_each_product(page):
    pictures = page.all("img")
    assert len(pictures) == (1 + 4) + (1 + 3)  # one picture of the first persona's is lost
    assert page.text.count("no picture") == 1
    assert [attrs["alt"] for attrs in pictures[1:5]] == [f"a caption {n}" for n in (1, 2, 3, 4)]
    for attrs in pictures:
        kind, _, content = attrs["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.format == "JPEG"
            assert image.size == (round(SIDE * 2 / 3), SIDE)


def test_ten_personas_of_pictures_that_compress_badly_stay_small(project):
    first = json.loads(WORST_FILE.read_text())[0]
    write_json(WORST_FILE, [{**first, "top": [f"p{n}" for n in range(1, 6)]}] * 10)
    html = _written()
    assert len(Page(html).all("img")) == 60
    assert len(html.encode()) < 3_000_000


def test_what_is_not_there_is_left_out(project):
    """An early version's metrics: no ceiling, no comparison, no concepts, no tables, no wants."""
    metrics = _full()
    del metrics["persona"]["ceiling"], metrics["comparison"], metrics["slices"]
    del metrics["persona_paraphrased"], metrics["caption"]["student"]["image_to_text"]
    metrics["concept"] = None
    empty = {"ci95": None, "within_kind_percentile": None, "tau": None, "ndcg@10": None}
    metrics["persona"]["student"] |= empty
    write_json(EVALUATION, metrics)
    for path in (PERCENTILES_FILE, CYCLES_FILE, SLICES_FILE, CALIBRATION_FILE, WORST_FILE):
        path.unlink()
    html = _written()
    page = Page(html)
    sections = [attrs["id"] for attrs in page.all("section")]
    assert sections == ["ranking", "forgetting", "measured"]
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", page.text)
    assert "student, distilled 91.8 92.8 - 4.2 28.3 - - 1 234" in page.text
    assert "eiling" not in page.text
    assert not page.all("img")


def test_a_headline_without_personas_is_no_verdict(project):
    """Every test persona has an unseen interest: only the slices have numbers."""
    metrics = _full()
    nothing = dict.fromkeys(_model(0.5)) | {"n": 0}
    metrics["persona"] = dict.fromkeys(("base", "text", "student"), nothing)
    metrics["persona_paraphrased"] = metrics["persona"]
    metrics["comparison"] = dict.fromkeys(metrics["comparison"])
    write_json(EVALUATION, metrics)
    text = Page(_written()).text
    assert "No persona was left to compare" in text
    assert "Unseen wording" not in text
    assert not re.search(r"\b(None|nan)\b", text)


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        ({"gain": 0.02, "ci95": [0.01, 0.03], "p_value": 0.004}, "chose 2.0 points higher"),
        ({"gain": -0.02, "ci95": [-0.03, -0.01], "p_value": 0.004}, "chose 2.0 points lower"),
        ({"gain": 0.02, "ci95": [-0.01, 0.05], "p_value": 0.21}, "about equally high"),
        ({"gain": 0.02, "ci95": None, "p_value": None}, "which may be chance"),
    ],
)
def test_the_verdict_needs_an_interval_on_one_side_of_zero(project, comparison, said):
    write_json(EVALUATION, {**_full(), "comparison": comparison})
    assert said in Page(_written()).text


def test_a_simulated_teacher_is_called_so_and_no_other(project):
    assert "Simulated: a formula" in Page(_written()).text
    _write_teacher("openai:Qwen2.5-VL")
    text = Page(_written()).text
    assert "imulated" not in text
    assert "openai:Qwen2.5-VL" in text


def test_the_same_files_give_the_same_page(project):
    assert _written() == _written()
