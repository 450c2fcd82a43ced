"""Concepts in the page: taught, used, changed, forgotten."""

import re

import pytest
from playwright.sync_api import expect

from tests.services.page.steps import ask, cards, shelf, teach, visit
from tests.services.scripted_service import SHOWN, STRANGERS, picture

pytestmark = pytest.mark.slow

NAMES = ("כוס של סבתא", "🫖 tea for two", "x" * 200, '<img src=x onerror="document.title=1">')


def query(page):
    return page.get_by_label("What are you looking for?")


def test_a_concept_is_taught_used_found_in_a_scene_and_forgotten(page, engine):
    visit(page, "/?q=mugs")
    engine.may_learn.clear()
    dialog = teach(page, " my  mug ", "mug", [picture(1), picture(2)])
    expect(dialog.get_by_role("status")).to_have_text("Learning my mug from 2 photos…")
    expect(dialog.get_by_label("Its name")).to_be_disabled()
    engine.may_learn.set()
    expect(dialog).to_be_hidden()
    chip = shelf(page).get_by_role("button", name="my mug", exact=True)
    expect(chip).to_be_focused()
    said = "“my mug” is learned: write {my mug} in a query. 3 to 5 photos are better."
    expect(page.get_by_text(said)).to_be_visible()
    expect(chip.locator("img")).to_have_js_property("naturalWidth", 64)

    query(page).fill("on a beach")
    query(page).evaluate("box => box.setSelectionRange(0, 0)")
    chip.click()
    expect(query(page)).to_be_focused()
    expect(query(page)).to_have_value("{my mug} on a beach")
    page.keyboard.press("Enter")
    expect(cards(page).first).to_contain_text("Mug 7")
    expect(page.locator("#used")).to_have_text("With yours:my mug")

    shelf(page).get_by_role("button", name="About my mug").click()
    mine = page.get_by_role("dialog", name="my mug")
    expect(mine).to_contain_text("mug · 2 photos")
    mine.get_by_role("button", name="Forget…").click()
    expect(mine.get_by_role("button", name="Keep it")).to_be_focused()
    mine.get_by_role("button", name="Forget it").click()
    expect(page.get_by_text("“my mug” is forgotten.")).to_be_visible()
    expect(shelf(page).get_by_role("listitem")).to_have_count(0)
    expect(page.get_by_role("button", name="Teach")).to_be_focused()


def test_an_untouched_example_makes_room_for_a_concept(page):
    visit(page)
    teach(page, "my mug", "mug", [picture(1)])
    shelf(page).get_by_role("button", name="my mug", exact=True).click()
    expect(query(page)).to_have_value("{my mug} ")


def test_a_forgotten_concept_in_a_query_is_an_error_in_words(page, expected_errors):
    expected_errors.append("status of 422")
    visit(page, "/?q=mugs")
    ask(page, "{my mug} on a beach")
    expect(page.get_by_role("alert")).to_contain_text("there is no concept of that name")


def test_what_was_typed_survives_an_error_in_the_service_s_words(page, expected_errors):
    expected_errors.append("status of 422")
    visit(page, "/?q=mugs")
    dialog = teach(page, "my mug", "stranger", [picture(1), b"no photo"])
    expect(dialog.get_by_role("alert")).to_contain_text("photo 2 (1.jpg)")
    dialog.get_by_role("button", name="Remove 1.jpg").click()
    expect(dialog.get_by_role("button", name="Remove 0.jpg")).to_be_focused()
    dialog.get_by_role("button", name="Teach").click()
    expect(dialog.get_by_role("alert")).to_have_text(STRANGERS)
    expect(dialog.get_by_label("Its name")).to_have_value("my mug")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Teach").click()
    expect(dialog.get_by_label("Its name")).to_have_value("my mug")
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    dialog.get_by_label("What kind of thing it is").fill("mug")
    page.keyboard.press("Enter")
    expect(shelf(page).get_by_role("button", name="my mug", exact=True)).to_be_focused()


def test_photos_are_asked_for_where_there_are_none_and_ten_are_the_most(page):
    visit(page, "/?q=mugs")
    dialog = teach(page, "my mug", "mug", [])
    expect(dialog.get_by_role("alert")).to_have_text("Choose at least one photo of it.")
    expect(dialog.get_by_role("button", name="Choose photos")).to_be_focused()
    photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": picture(1)}
    dialog.get_by_label("Photos of it").set_input_files([photo] * 12)
    expect(dialog.get_by_role("listitem")).to_have_count(10)
    expect(dialog.get_by_role("alert")).to_have_text("10 photos are the most; 2 left out.")


def test_photos_can_be_dropped_into_the_dialog_and_added_later(page):
    visit(page, "/?q=mugs")
    teach(page, "my mug", "mug", [picture(1)])
    shelf(page).get_by_role("button", name="About my mug").click()
    page.get_by_role("button", name="Add photos").click()
    dialog = page.get_by_role("dialog", name="More photos of my mug")
    drop(page, "#drop", picture(2))
    expect(dialog.get_by_role("img", name="dropped.jpg")).to_be_visible()
    dialog.get_by_role("button", name="Learn again").click()
    expect(dialog).to_be_hidden()
    shelf(page).get_by_role("button", name="About my mug").click()
    expect(page.get_by_role("dialog", name="my mug")).to_contain_text("mug · 2 photos")


def drop(page, where, photo):
    """Drop a file as a hand would."""
    page.locator(where).evaluate(
        """(zone, bytes) => {
          const dataTransfer = new DataTransfer();
          const photo = new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" });
          dataTransfer.items.add(photo);
          for (const type of ["dragover", "drop"]) {
            const how = { dataTransfer, bubbles: true, cancelable: true };
            zone.dispatchEvent(new DragEvent(type, how));
          }
        }""",
        list(photo),
    )


def test_any_name_is_shown_as_it_is_and_fits(page):
    page.set_viewport_size({"width": 360, "height": 740})
    visit(page, "/?q=mugs")
    for name in NAMES:
        teach(page, name, "mug", [picture(1)])
        chip = shelf(page).locator(".use").last
        expect(chip).to_have_text(name)
        expect(chip).to_be_focused()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        shelf(page).locator(".about-it").last.click()
        expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(name)
        page.keyboard.press("Escape")
        chip.click()
        expect(query(page)).to_have_value(re.compile(re.escape(f"{{{name}}} ") + "$"))
    expect(page).to_have_title("mugs · Kindred")
    ask(page, f"{{{NAMES[0]}}} on a beach")
    expect(cards(page)).to_have_count(SHOWN)


def test_a_concept_that_the_next_version_cannot_learn_is_marked(page, service, monkeypatch):
    page.clock.install()
    visit(page, "/?q=mugs")
    teach(page, "my mug", "mug", [picture(1)])
    chip = shelf(page).get_by_role("button", name="my mug")
    expect(chip.first).to_be_focused()
    service.swap(fails="the photos are too dark")
    page.clock.fast_forward(16_000)
    expect(page.get_by_text("Version 4 now answers.")).to_be_visible()
    expect(chip.first).to_have_text("my mug, cannot be used now")
    expect(chip.first).to_be_focused()
    shelf(page).get_by_role("button", name="About my mug").click()
    words = "It cannot be used now: the photos are too dark"
    expect(page.get_by_role("dialog", name="my mug")).to_contain_text(words)
