"""For everybody: by axe-core's rules, on a narrow screen, by keyboard, with a key."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.services.page.scripted_calls import KEY
from tests.services.page.steps import cards, shelf, teach, visit
from tests.services.scripted_service import SHOWN, picture

pytestmark = pytest.mark.slow

RULES = {"resultTypes": ["violations"]}  # all of them, best practices too
WIDTHS = (1280, 360)


def assert_accessible(page):
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_anywhere(page, calls, scheme, width):
    calls.model = {"feedback": True, "drift": {"warning": "What is asked has changed."}}
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    visit(page, "/?q=mugs&compare=1")
    dialog = teach(page, "my mug", "mug", [picture(1), picture(2)])
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Mug 2 is what I meant").first.press("Enter")
    assert_accessible(page)
    for opener, title in (
        (page.get_by_role("button", name="Teach"), "Teach it"),
        (shelf(page).get_by_role("button", name="About my mug"), "my mug"),
        (page.get_by_role("button", name="Why Mug 2?").first, "Why this one?"),
        (page.locator("#headline"), "Version 3 answers here"),
    ):
        opener.press("Enter")
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.get_by_role("dialog").evaluate("one => one.scrollWidth - one.clientWidth") == 0
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(opener).to_be_focused()


def test_the_drawer_warns_of_drift(page, calls):
    calls.model = {"drift": {"warning": "What is asked is no longer what it was taught with."}}
    visit(page, "/?q=mugs")
    page.get_by_role("button", name="A warning: Version 3").click()
    about = page.get_by_role("dialog", name="Version 3 answers here")
    expect(about).to_contain_text("What is asked is no longer what it was taught with.")


def test_a_service_that_wants_a_key_gets_one_and_the_search_goes_on(page, calls, expected_errors):
    expected_errors.append("status of 401")
    calls.locked = True
    page.goto("/?q=mugs")
    dialog = page.get_by_role("dialog", name="Who is asking?")
    assert_accessible(page)
    dialog.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("there is no such key")
    dialog.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(cards(page)).to_have_count(SHOWN)
    page.reload()
    expect(cards(page)).to_have_count(SHOWN)
    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("alert")).to_contain_text("this service wants an API key")
    page.get_by_role("button", name="Try again").click()
    dialog.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(SHOWN)


def test_a_narrow_screen_does_not_scroll_sideways(page, calls):
    page.set_viewport_size({"width": 360, "height": 740})
    for address in ("/?q=mugs&compare=1", "/?q=mugs&like=p%2F3&varied=1"):
        visit(page, address)
        expect(cards(page).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
