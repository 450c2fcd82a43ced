from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from pipelines.pages.labels import labels_page, pick_groups, read_examples
from pipelines.run.paths import PRODUCTS_FILE
from tests.pipelines.pages.gate_results import SHARE, TAU, V, fault, judged, result
from tests.pipelines.pages.html_page import EVIL, Page, stands_alone
from validation.label_suites import Ledger
from validation.label_tables import Catalogue, Truth
from validation.labels import Evidence

LEDGER = Ledger(504, 2, 7, 98_765, 4321, 0.42, 600, None, 25, 9)
COUNTS = {"groups": 1234, "rankings": 1230, "personas": 800, "audits": 40}
COLORS = ["red", "green", "blue"]


def product(color, title="", **other):
    path = {"image": f"images/{color}.png", "caption": "", "product_id": color}
    return {**path, "title": title or f"{color} thing", **other}


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """Three products; of the last one the picture is lost."""
    monkeypatch.chdir(tmp_path)
    images = PRODUCTS_FILE.parent / "images"
    images.mkdir(parents=True)
    for color in COLORS[:2]:
        Image.new("RGB", (30, 20), color).save(images / f"{color}.png")
    return [product(color) for color in COLORS]


def group(number, ranking, presented=("blue", "red", "green"), persona="p"):
    return {
        "group_id": f"c2-{number}", "persona_id": persona, "presented": list(presented),
        "ranking": list(ranking), "teacher": "simulated",
    }  # fmt: skip


def page_of(found, examples=(), teachers=("simulated",), ledger=LEDGER):
    rankings = pd.DataFrame({"teacher": list(teachers)})
    evidence = Evidence(rankings, rankings[:0], ledger, Truth({}, {}), Catalogue([], [], {}))
    return labels_page("c2", found, evidence, list(examples))


def text_of(*args, **options):
    return Page(page_of(*args, **options)).text


GOOD = judged(result("positions.v", V), result("repeats.tau", TAU), **COUNTS)
BAD = judged(
    result("positions.v", V),
    result("repeats.tau", TAU, passed=False),
    fault("groups.ids", "3 of 9 rows at fault"),
    notes=["drift was not checked: there is no previous cycle"],
    **COUNTS,
)


def test_it_stands_alone_and_links_to_great_expectations():
    assert stands_alone(page_of(BAD)) == {"data_docs/index.html"}


def test_good_labels_passed():
    text = text_of(GOOD)
    assert "The labels of cycle c2 passed all 2 checks" in text
    assert "Training may use them" in text
    assert "What failed" not in text
    assert "Notes" not in text


def test_bad_labels_say_what_failed_and_what_helps_before_the_numbers():
    html = page_of(BAD)
    page = Page(html)
    assert "The labels of cycle c2 failed 2 of 3 checks" in page.text
    assert "Training does not start" in page.text
    assert (
        "groups.ids Got 3 of 9 rows at fault Expected something What helps Look at label & wait."
    ) in page.text
    assert html.index("What failed") < html.index('id="numbers"') < html.index('id="notes"')
    assert "Drift was not checked: there is no previous cycle." in page.text
    checks = html[html.index('class="checks"') :]
    assert checks.index("repeats.tau") < checks.index("positions.v")  # failures first


def test_numbers_stand_beside_their_limits_and_what_the_sample_allows():
    pairs = result("pairs.share", SHARE)
    text = text_of(judged(*GOOD.results, pairs, **COUNTS))
    assert "Cramér's V of the place 0 fair 0.03 0 0.2 at most 0.15 over 450 groups" in text
    assert "Mean tau 0 a coin 0.2 0 1 at least 0.3 down to 0.15 over 40 repeats" in text
    assert "at least 0.65 any value over 1 pairs" in text


def test_what_asking_took():
    text = text_of(GOOD)
    for said in ("calls, 600 allowed 504", "of them failed 2", "tokens in 98 765", "$0.42"):
        assert said in text
    assert "left unasked 7" in text
    free = replace(LEDGER, max_calls=None, max_cost_usd=2.0)
    assert "allowed 504" not in text_of(GOOD, ledger=free)
    assert "spent, $2.00 allowed $0.42" in text_of(GOOD, ledger=free)


def test_a_simulated_teacher_is_called_so_and_no_other():
    assert "By the simulated teacher." in text_of(GOOD)
    text = text_of(GOOD, teachers=["openai:Qwen2.5-VL"])
    assert "imulated" not in text
    assert "By openai:Qwen2.5-VL." in text


def test_groups_stand_in_the_teachers_order_with_the_place_where_each_was_shown(catalogue):
    rankings = [group(1, ["red", "blue", "green"])]
    personas = [{"persona_id": "p", "text": "Something red."}]
    page = Page(page_of(GOOD, read_examples(rankings, personas, catalogue, seed=0)))
    assert "Something red." in page.text
    assert (
        "1 red thing shown as 2 no picture 2 blue thing shown as 1 3 green thing shown as 3"
        in page.text
    )
    assert [picture["alt"] for picture in page.all("img")] == ["red thing", "green thing"]
    assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in page.all("img"))


def test_without_a_label_they_stand_as_presented_and_say_so(catalogue):
    (example,) = read_examples([group(1, [])], [], catalogue, seed=0)
    assert not example.has_label
    assert [placed.shown.title for placed in example.products] == [
        "blue thing", "red thing", "green thing"
    ]  # fmt: skip
    text = text_of(GOOD, [example])
    assert "no label: pictures as presented" in text
    assert "1 blue thing" not in text


def test_products_that_nobody_knows_and_broken_pictures_are_left_grey(catalogue):
    (PRODUCTS_FILE.parent / "images/red.png").write_bytes(b"no picture")
    (example,) = read_examples([group(1, ["stranger", "red"])], [], catalogue, seed=0)
    text = text_of(GOOD, [example])
    assert text.count("no picture") == 2
    assert "1 stranger not shown" in text


def test_what_people_wrote_stays_text(catalogue):
    catalogue[0] |= {"title": EVIL}
    personas = [{"persona_id": "p", "text": EVIL}]
    examples = read_examples([group(1, COLORS)], personas, catalogue, seed=0)
    evil = judged(fault(EVIL, EVIL, EVIL, EVIL), notes=[EVIL], **COUNTS)
    html = page_of(evil, examples, teachers=[EVIL])
    page = Page(html)
    assert html.count("<script") == 0
    assert not [picture for picture in page.all("img") if picture["src"] == "x"]
    assert page.text.count(EVIL) >= 2 + 4 + 1  # persona and product, the failure, the note
    assert stands_alone(html) == {"data_docs/index.html"}


def test_it_can_be_read_without_seeing_it(catalogue):
    examples = read_examples([group(1, COLORS)], [], catalogue, seed=0)
    page = Page(page_of(BAD, examples))
    assert page.all("html", lang="en")
    assert len(page.all("h1")) == 1
    assert all(picture.get("alt") for picture in page.all("img"))
    assert all(drawing.get("aria-hidden") == "true" for drawing in page.all("svg"))
    assert all(head["scope"] in {"row", "col"} for head in page.all("th"))


def test_the_same_facts_give_the_same_page(catalogue):
    rankings = [group(number, COLORS) for number in range(30)]
    pages = [page_of(BAD, read_examples(rankings, [], catalogue, seed=1)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_groups_are_spread_over_the_table_and_seeded():
    rows = [{"group_id": str(i)} for i in range(600)]
    picked = [int(row["group_id"]) for row in pick_groups(rows, 6, seed=1)]
    assert [number // 100 for number in picked] == [0, 1, 2, 3, 4, 5]
    assert pick_groups(rows, 6, seed=1) == pick_groups(rows, 6, seed=1)
    assert pick_groups(rows, 6, seed=1) != pick_groups(rows, 6, seed=2)
    assert pick_groups(rows[:2], 6, seed=1) == rows[:2]
    assert pick_groups([], 6, seed=1) == []
