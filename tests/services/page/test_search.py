"""Searching in the page: words, filters, columns, versions, problems."""

import contextlib
import dataclasses
import re

import pytest
from playwright.sync_api import Error, expect

from registry.bundle import HeldOutQuery
from services.search.live import Swap
from tests.services.page.steps import ask, asked, cards, visit
from tests.services.scripted_service import EXAMPLE, HOSTILE, SHOWN, make_product

pytestmark = pytest.mark.slow


def test_a_first_visit_shows_what_an_example_finds(page):
    visit(page)
    expect(page.get_by_label("What are you looking for?")).to_have_value(EXAMPLE)
    expect(page.get_by_role("button", name=EXAMPLE)).to_have_attribute("aria-pressed", "true")
    expect(cards(page)).to_have_count(SHOWN)
    assert asked(page) == {"q": [EXAMPLE]}


def test_a_query_shows_pictures_with_title_and_price(page):
    visit(page)
    ask(page, "mugs")
    expect(page).to_have_title("mugs · Kindred")
    expect(cards(page)).to_have_count(SHOWN)
    expect(cards(page).nth(2)).to_contain_text("Mug 2")
    expect(cards(page).nth(2)).to_contain_text("12.00")
    expect(cards(page).nth(1).locator(".amount")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text(re.compile(r"^24 products, .+ ms$"))
    expect(page.get_by_alt_text("Mug 2", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    widths = page.locator("#columns img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert widths == [64] * SHOWN


def test_what_the_model_cannot_read_is_said_until_the_next_query(page):
    visit(page)
    expect(page.locator("#warnings")).to_be_hidden()
    ask(page, "a ☂")
    expect(page.locator("#warnings")).to_have_text("The model does not know these words: ☂.")
    ask(page, "a mug")
    expect(page.locator("#warnings")).to_be_hidden()


def test_the_model_is_described_in_plain_words(page):
    visit(page)
    page.get_by_role("button", name="Version 3").click()
    about = page.get_by_role("dialog", name="Version 3 answers here")
    expect(about).to_contain_text("searches 30 products")
    expect(about).to_contain_text("simulated teacher")
    expect(about).to_contain_text("Retrieval failed")
    words = "finds what an unseen person means: 92.1 % (base 77.9 %)"
    expect(page.locator("#headline")).to_contain_text(words)


def test_category_and_price_filter(page):
    visit(page, "/?q=mugs")
    chip = page.get_by_role("button", name="garden, 10 products")
    chip.press("Space")
    expect(cards(page)).to_have_count(10)
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(chip).to_be_focused()
    assert set(cards(page).locator(".facts span:first-child").all_inner_texts()) == {"garden"}
    page.get_by_role("button", name="music, 10 products").click()
    expect(cards(page)).to_have_count(20)
    page.get_by_label("Price from").fill("35")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(3)
    assert asked(page) == {"q": ["mugs"], "category": ["garden", "music"], "min": ["35"]}


def test_where_nothing_is_found_the_page_says_what_to_change(page):
    visit(page, "/?q=mugs&min=50&max=20")
    expect(page.get_by_text("The lowest price, 50.00, is above the highest, 20.00")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(cards(page)).to_have_count(SHOWN)
    expect(page.get_by_label("Price from")).to_have_value("")
    assert asked(page) == {"q": ["mugs"]}


def test_compare_shows_the_base_model_beside_the_champion(page):
    visit(page, "/?q=mugs")
    page.get_by_text("Compare with the base model").click()
    base = page.get_by_role("region", name="Base model")
    champion = page.get_by_role("region", name="Kindred")
    for column, first in ((base, "Mug 29"), (champion, "Mug 0")):
        expect(column.locator(".card")).to_have_count(SHOWN)
        expect(column.locator(".card").first).to_contain_text(first)
        expect(column).to_contain_text("6 of 24 found only here")
    expect(base).to_contain_text("reads the words literally")
    expect(champion).to_contain_text("the champion, version 3")
    expect(champion.get_by_text("Found only by Kindred")).to_have_count(6)
    left, right = base.bounding_box(), champion.bounding_box()
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def test_back_forward_and_reload_restore_what_was_asked(page):
    visit(page, "/?q=mugs")
    page.get_by_role("button", name="garden, 10 products").click()
    expect(cards(page)).to_have_count(10)
    page.get_by_label("Compare with the base model").check(force=True)
    expect(cards(page)).to_have_count(20)
    ask(page, "cups")
    expect(page).to_have_title("cups · Kindred")
    page.go_back()
    expect(page).to_have_title("mugs · Kindred")
    expect(page.get_by_label("What are you looking for?")).to_have_value("mugs")
    expect(cards(page)).to_have_count(20)
    page.go_back()
    expect(cards(page)).to_have_count(10)
    expect(page.get_by_label("Compare with the base model")).not_to_be_checked()
    page.go_back()
    expect(cards(page)).to_have_count(SHOWN)
    for _ in range(2):
        page.go_forward()
    expect(cards(page)).to_have_count(20)
    page.reload()
    expect(cards(page)).to_have_count(20)
    expect(page.get_by_label("Compare with the base model")).to_be_checked()
    chip = page.get_by_role("button", name="garden, 10 products")
    expect(chip).to_have_attribute("aria-pressed", "true")


def test_a_problem_is_shown_in_the_service_s_words_and_can_be_tried_again(
    page, engine, expected_errors
):
    visit(page, "/?q=mugs")
    engine.broken = True
    expected_errors.append("status of 500")
    ask(page, "cups")
    expect(page.get_by_role("alert")).to_contain_text("something went wrong in the service")
    expect(cards(page)).to_have_count(0)
    engine.broken = False
    page.get_by_role("button", name="Try again").click()
    expect(cards(page)).to_have_count(SHOWN)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_search_that_broke_off_is_asked_again(page, expected_errors):
    visit(page, "/?q=mugs")
    expected_errors.append("ERR_CONNECTION_RESET")
    asked = []

    def break_the_first(route):
        asked.append(route.request.post_data_json["query"])
        route.abort("connectionreset") if len(asked) == 1 else route.continue_()

    page.route("**/v1/search", break_the_first)
    with page.expect_response("**/v1/search"):
        ask(page, "cups")
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    expect(cards(page)).to_have_count(SHOWN)
    assert asked == ["cups", "cups"]
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_service_that_is_gone_is_asked_again_until_it_is_back(page, expected_errors):
    page.clock.install()
    visit(page, "/?q=mugs")
    expected_errors.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    ask(page, "cups")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.context.set_offline(False)
    page.clock.fast_forward(16_000)
    expect(cards(page)).to_have_count(SHOWN)


def test_a_late_answer_does_not_take_the_place_of_a_newer_one(page):
    visit(page, "/?q=mugs")
    late = []
    is_late = re.compile("music")

    def hold(route):
        if is_late.search(route.request.post_data):
            late.append(route)
        else:
            route.continue_()

    page.route("**/v1/search", hold)
    music = page.get_by_role("button", name="music, 10 products")
    music.click()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    music.click()
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    with contextlib.suppress(Error):  # the page has already hung up
        late[0].continue_()
    page.wait_for_load_state("networkidle")
    expect(cards(page)).to_have_count(SHOWN)


def test_a_version_that_takes_over_between_two_columns_is_never_mixed_with_the_old(page, service):
    visit(page, "/?q=mugs&compare=1")
    held = {}

    def swap_between(route):
        if len(held) == 2:
            route.continue_()
            return
        held[route.request.post_data_json["model"]] = route
        if len(held) == 2:
            held["base"].fulfill(response=held["base"].fetch())
            service.swap()
            held["champion"].continue_()

    page.route("**/v1/search", swap_between)
    ask(page, "cups")
    expect(page.get_by_text("Version 4 now answers.")).to_be_visible()
    expect(page.get_by_role("region", name="Kindred")).to_contain_text("version 4")
    expect(cards(page)).to_have_count(2 * SHOWN)
    screens = page.evaluate("window.screens")
    assert set(screens) == {"Version 3 3", "Version 4 4"}
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("Version 4 now answers.")).to_be_hidden()


def test_a_swap_is_noticed_without_a_search(page, service):
    page.clock.install()
    visit(page, "/?q=mugs")
    for swap, words in (
        (Swap("loading", "4"), "Version 4 is being loaded; version 3 goes on answering"),
        (Swap("failed", "4", "weights are damaged"), "could not be loaded"),
    ):
        service.live.swap = swap
        page.clock.fast_forward(16_000)
        expect(page.locator("#swap")).to_contain_text(words)
    expect(page.locator("#swap")).to_contain_text("weights are damaged")
    service.swap()
    page.clock.fast_forward(16_000)
    expect(page.get_by_text("Version 4 now answers.")).to_be_visible()
    expect(page.locator("#headline")).to_contain_text("Version 4")
    expect(page.locator("#swap")).to_be_hidden()
    assert set(page.evaluate("window.screens")) == {"Version 3 3", "Version 4 4"}


def test_what_looks_like_markup_is_shown_as_text(page, engine):
    hostile = dataclasses.replace(make_product(0), title=HOSTILE, category="<b>bold</b>")
    engine.products = {hostile.product_id: hostile}
    engine._hits = lambda query: [(hostile, 0.5)]
    engine.bundle.read_queries = lambda: [HeldOutQuery("a", HOSTILE, "p/0")]
    visit(page, "/?q=%3Cscript%3E&category=%3Ci%3E")
    expect(cards(page).locator(".title")).to_have_text(HOSTILE)
    expect(page.get_by_role("button", name=HOSTILE, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="<b>bold</b>, 1 product")).to_be_visible()
    expect(page.get_by_role("button", name="<i>, 0 products")).to_be_visible()
    expect(page).to_have_title("<script> · Kindred")
