"""What a visitor does, and sees."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect


def visit(page, address="/"):
    page.goto(address)
    expect(page.locator("#status")).to_contain_text(re.compile("product|found"))


def ask(page, text):
    page.get_by_label("What are you looking for?").fill(text)
    page.keyboard.press("Enter")


def cards(page, within="#columns"):
    return page.locator(f"{within} .card")


def asked(page):
    return parse_qs(urlsplit(page.url).query)


def teach(page, name, noun, photos):
    """Open the dialog, fill it in and send it off."""
    page.get_by_role("button", name="Teach").click()
    dialog = page.get_by_role("dialog")
    files = [
        {"name": f"{at}.jpg", "mimeType": "image/jpeg", "buffer": photo}
        for at, photo in enumerate(photos)
    ]
    dialog.get_by_label("Photos of it").set_input_files(files)
    dialog.get_by_label("Its name").fill(name)
    dialog.get_by_label("What kind of thing it is").fill(noun)
    dialog.get_by_role("button", name="Teach").click()
    return dialog


def shelf(page):
    return page.get_by_role("group", name="Yours")
