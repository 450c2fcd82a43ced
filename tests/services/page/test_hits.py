"""What one can do with hits in the page: more of them, alike ones, reasons, feedback."""

import re

import pytest
from playwright.sync_api import expect

from tests.services.page.steps import asked, cards, visit
from tests.services.page.test_concepts import drop, query
from tests.services.scripted_service import PRODUCTS, SHOWN, picture

pytestmark = pytest.mark.slow


def test_more_hits_come_by_scrolling_and_then_there_are_no_more(page, calls):
    visit(page, "/?q=mugs")
    expect(cards(page)).to_have_count(SHOWN)
    page.mouse.wheel(0, 3000)
    expect(cards(page)).to_have_count(PRODUCTS)
    expect(cards(page).last).to_contain_text("Mug 29")
    expect(page.locator("#status")).to_contain_text("30 products")
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert [asked.get("offset", 0) for asked in calls.searches] == [0, 24]


def test_more_hits_come_by_a_button_and_both_columns_grow(page, calls, engine):
    visit(page, "/?q=mugs&compare=1")
    page.get_by_role("button", name="Show more").press("Enter")
    expect(cards(page)).to_have_count(2 * PRODUCTS)
    expect(page.get_by_text("0 of 30 found only here")).to_have_count(2)
    expect(page.get_by_text("Found only by Kindred")).to_have_count(0)


def test_what_fails_below_the_hits_leaves_them_and_can_be_tried_again(
    page, calls, engine, expected_errors
):
    expected_errors.append("status of 500")
    visit(page, "/?q=mugs")
    engine.broken = True
    page.mouse.wheel(0, 3000)
    expect(page.get_by_role("alert")).to_contain_text("something went wrong in the service")
    expect(cards(page)).to_have_count(SHOWN)
    engine.broken = False
    page.get_by_role("button", name="Try again").click()
    expect(cards(page)).to_have_count(PRODUCTS)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_more_like_a_hit_takes_the_place_of_the_words_until_it_is_let_go(page, calls):
    visit(page, "/?q=mugs")
    cards(page).nth(3).hover()
    page.get_by_role("button", name="More like Mug 3", exact=True).click()
    expect(page.get_by_text("Like this one")).to_be_visible()
    expect(cards(page).nth(3)).to_contain_text("Mug 4")
    expect(query(page)).to_have_value("")
    assert calls.searches[-1]["like"] == "p/3"
    assert "query" not in calls.searches[-1]
    assert asked(page) == {"q": ["mugs"], "like": ["p/3"]}
    page.reload()
    expect(page.get_by_text("Like this one")).to_be_visible()
    page.get_by_role("button", name="Stop searching for more like it").click()
    expect(query(page)).to_have_value("mugs")
    expect(query(page)).to_be_focused()
    expect(page).to_have_title("mugs · Kindred")
    page.go_back()
    expect(page.get_by_text("Like this one")).to_be_visible()
    query(page).fill("cups")
    page.keyboard.press("Enter")
    expect(page).to_have_title("cups · Kindred")
    assert asked(page) == {"q": ["cups"]}


def test_a_picture_is_searched_by_whether_chosen_dropped_or_pasted(page, calls):
    visit(page, "/?q=mugs")
    photo = {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": picture(5)}
    page.get_by_label("A picture to search by").set_input_files(photo)
    expect(page.get_by_role("img", name="Your picture")).to_be_visible()
    expect(page).to_have_title("Pictures alike · Kindred")
    assert picture(5) in calls.pictures[-1]
    drop(page, "main", picture(6))
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    expect(page).to_have_url(re.compile("picture=2"))
    page.evaluate(
        """bytes => {
          const clipboardData = new DataTransfer();
          const photo = new File([new Uint8Array(bytes)], "p.png", { type: "image/png" });
          clipboardData.items.add(photo);
          dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        }""",
        list(picture(7)),
    )
    expect(page).to_have_url(re.compile("picture=3"))
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    assert [number in calls.pictures[at] for at, number in enumerate(map(picture, (5, 6, 7)))] == [
        True
    ] * 3
    page.go_back()
    expect(page).to_have_url(re.compile("picture=2"))
    expect(page.get_by_role("img", name="Your picture")).to_be_visible()
    page.reload()  # nothing is kept of it
    expect(query(page)).to_have_value("mugs")


def test_mode_and_variety_are_asked_for_and_live_in_the_address(page, calls):
    visit(page, "/?q=mugs")
    assert "mode" not in calls.searches[-1]
    page.get_by_label("Find by").select_option("both")
    page.get_by_label("Varied").check(force=True)
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    assert asked(page) == {"q": ["mugs"], "mode": ["hybrid"], "varied": ["1"]}
    assert calls.searches[-1]["mode"] == "hybrid"
    assert 0 < calls.searches[-1]["diversify"] <= 1
    page.reload()
    expect(page.get_by_label("Find by")).to_have_value("hybrid")
    expect(page.get_by_label("Varied")).to_be_checked()


def test_why_a_hit_was_found_is_told(page, calls):
    visit(page, "/?q=mugs")
    button = page.get_by_role("button", name="Why Mug 2?", exact=True)
    button.press("Enter")
    why = page.get_by_role("dialog", name="Why this one?")
    expect(why).to_contain_text("Mug 2")
    expect(why.get_by_role("listitem").filter(has_text="<b>two</b>")).to_contain_text("-0.020")
    expect(why).to_contain_text("something warm for early mornings")
    expect(why.get_by_role("listitem").filter(has_text="my mug")).to_contain_text("+0.040")
    assert calls.searches[-1]["explain"] is True
    assert (calls.searches[-1]["k"], calls.searches[-1]["offset"]) == (1, 2)
    page.keyboard.press("Escape")
    expect(why).to_be_hidden()
    expect(button).to_be_focused()


def test_feedback_is_given_only_where_it_is_allowed(page, calls):
    visit(page, "/?q=mugs")
    expect(page.get_by_role("button", name="Mug 2 is what I meant")).to_have_count(0)
    calls.model = {"feedback": True}
    visit(page, "/?q=mugs")
    page.get_by_role("button", name="Mug 4 is not what I meant", exact=True).press("Enter")
    expect(page.get_by_text("Noted.")).to_be_visible()
    yes = page.get_by_role("button", name="Mug 2 is what I meant", exact=True)
    yes.press("Enter")
    expect(yes).to_have_attribute("aria-pressed", "true")
    shown = [f"p/{number}" for number in range(SHOWN)]
    common = {"query": "mugs", "shown": shown}
    assert calls.feedback == [
        {**common, "chosen": None, "rejected": ["p/4"]},
        {**common, "chosen": "p/2", "rejected": []},
    ]
