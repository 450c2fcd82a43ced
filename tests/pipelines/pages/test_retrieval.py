import math

import pytest

from pipelines.pages.retrieval import retrieval_page
from tests.pipelines.pages.gate_results import RECALL, fault, judged, result
from tests.pipelines.pages.html_page import EVIL, Page, stands_alone
from validation.retrieval import JudgedModel
from validation.retrieval_champion import Regression, Uncompared
from validation.retrieval_drops import Drop, SliceDrop

BASE = [
    Drop("mean percentile", 768, 0.965, 0.806, 0.141, 0.177, math.inf, 20),
    Drop("recall@10", 768, 0.643, 0.219, 0.377, 0.472, math.inf, 20),
]
SLICES = [
    SliceDrop(Drop("interest=long baths", 98, 0.75, 0.803, -0.137, 0.029, 0.05, 1), 0.8, 0.6),
    SliceDrop(Drop("interest=golf", 25, 0.5, 0.45, 0.02, 0.08, 0.05, 1), 0.55, 0.6),
]
WORSE = Drop("mean percentile", 768, 0.9, 0.965, -0.08, -0.05, 0.01, 20)
EQUAL = Drop("caption recall@1", 600, 0.978, 0.981, -0.02, 0.014, 0.05, 600)
GOOD = judged(result("metrics.recall", RECALL), notes=["no champion to compare with: floors only"])
BAD = judged(result("metrics.recall", RECALL, passed=False), fault("champion.no_drop", "a drop"))


def page_of(found=GOOD, champion=None, version=None, slices=SLICES, base=BASE):
    return retrieval_page(JudgedModel(found, base, slices, champion, version), 0.95)


def text_of(*args, **options):
    return Page(page_of(*args, **options)).text


def beside(*drops, slices=()):
    return {"champion": Regression(list(drops), list(slices), []), "version": 3}


def test_it_stands_alone_and_links_to_great_expectations():
    assert stands_alone(page_of(BAD, **beside(WORSE, EQUAL))) == {"data_docs/index.html"}


def test_a_good_student_may_be_promoted():
    text = text_of()
    assert "The student passed all 1 checks" in text
    assert "There is no champion yet: it was held to floors only. It may be promoted." in text
    assert "What failed" not in text
    assert "Champion" not in text
    assert "No champion to compare with: floors only." in text


def test_a_bad_student_says_what_failed_first():
    html = page_of(BAD, **beside(WORSE, EQUAL))
    text = Page(html).text
    assert "The student failed 2 of 2 checks" in text
    assert "Compared with the champion, version 3." in text
    assert "promotion refuses it" in text
    assert html.index("champion.no_drop") < html.index('id="numbers"') < html.index('id="compared"')


def test_differences_have_their_intervals_and_both_means():
    text = text_of(**beside(WORSE, EQUAL))
    assert "mean percentile 768 +15.9 +14.1 to +17.7 80.6 → 96.5" in text
    assert "mean percentile fails 768 -6.5 -8.0 to -5.0 96.5 → 90.0" in text
    assert "caption recall@1 600 -0.3 -2.0 to +1.4 98.1 → 97.8" in text
    assert "points over the champion -8.0 to -5.0 -6.5" in text


def test_limits_are_drawn_where_there_are_some():
    limits = [line for line in Page(page_of(slices=[])).all("line") if line["class"] == "limit"]
    assert limits == []
    page = Page(page_of(slices=[], **beside(WORSE, EQUAL)))
    assert len([line for line in page.all("line") if line["class"] == "limit"]) == 2


def test_slices_keep_their_order_and_say_why_they_fail():
    text = text_of()
    assert "interest: long baths 98" in text  # a drop that chance explains
    assert "interest: golf below the floor, 0.6 25" in text
    assert text.index("long baths") < text.index("golf")
    assert "of 2 judged 1" in text
    lost = Drop("interest=art", 40, 0.7, 0.9, -0.25, -0.15, 0.05, 1)
    text = text_of(BAD, **beside(EQUAL, slices=[lost]))
    assert "interest: art fails 40 -20.0" in text


def test_a_champion_that_could_not_be_compared_with_is_told():
    found = Uncompared(3, "c" * 64, f"weights: {EVIL}")
    html = page_of(BAD, champion=found, version=3)
    text = Page(html).text
    assert "The champion, version 3, could not be compared with." in text
    assert f"could not be compared with: weights: {EVIL}." in text
    assert "<script" not in html


def test_what_people_wrote_stays_text():
    slices = [SliceDrop(Drop(f"interest={EVIL}", 98, 0.75, 0.8, -0.1, 0.0, 0.05, 1), 0.8, 0.6)]
    html = page_of(judged(fault(EVIL, EVIL, EVIL, EVIL), notes=[EVIL]), slices=slices)
    page = Page(html)
    assert html.count("<script") == 0
    assert not page.all("img")
    assert page.text.count(EVIL.replace("=", ": ")) == 1
    assert stands_alone(html) == {"data_docs/index.html"}


@pytest.mark.parametrize("value", [math.nan, 0.5])
def test_what_is_unknown_is_left_out(value):
    base = [Drop("mean percentile", 30, value, 0.5, value, value, math.inf, 10)]
    text = text_of(base=base, slices=[])
    assert "nan" not in text
    text = text_of(base=[], slices=[])
    assert "mean percentile" not in text


def test_it_can_be_read_without_seeing_it():
    page = Page(page_of(BAD, **beside(WORSE, EQUAL)))
    assert len(page.all("h1")) == 1
    assert all(drawing.get("aria-hidden") == "true" for drawing in page.all("svg"))
    assert all(head["scope"] in {"row", "col"} for head in page.all("th"))


def test_the_same_facts_give_the_same_page():
    assert page_of(BAD, **beside(WORSE, EQUAL)) == page_of(BAD, **beside(WORSE, EQUAL))
