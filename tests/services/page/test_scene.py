"""What a visitor teaches is found in a scene: browser, service and a real, small model."""

import pytest
from playwright.sync_api import expect

from services.search.live import Live
from tests.services.fake_source import FakeSource
from tests.services.page.small_studio import StudioEngine, photos_of
from tests.services.page.steps import ask, cards, shelf, teach, visit
from tests.services.scripted_service import Service

pytestmark = pytest.mark.slow

SECONDS = 30_000  # ms: it learns on one core, beside other tests


@pytest.fixture
def service(version, tmp_path, monkeypatch):
    monkeypatch.setattr("services.search.live.POLL", 3600)
    live = Live(FakeSource(version))
    live._engine = StudioEngine(version, tmp_path / "private")
    with Service(live) as service:
        yield service


def test_ones_own_mug_is_found_on_the_beach_until_it_is_forgotten(page, expected_errors):
    expected_errors.append("status of 422")
    page.set_default_timeout(SECONDS)
    visit(page, "/?q=a mug")
    for name, mug in (("my mug", "red"), ("your mug", "blue")):
        teach(page, name, "mug", photos_of(mug))
        chip = shelf(page).get_by_role("button", name=name, exact=True)
        expect(chip).to_be_focused(timeout=SECONDS)
        ask(page, f"{{{name}}} on a sandy beach")
        expect(page.locator("#used")).to_have_text(f"With yours:{name}")
        found = f"The {mug} one: {mug} mug on a sandy beach"
        expect(cards(page).first).to_contain_text(found)

    shelf(page).get_by_role("button", name="About my mug").click()
    mine = page.get_by_role("dialog", name="my mug")
    mine.get_by_role("button", name="Forget…").click()
    mine.get_by_role("button", name="Forget it").click()
    expect(page.get_by_text("“my mug” is forgotten.")).to_be_visible()
    ask(page, "{my mug} on a sandy beach")
    expect(page.get_by_role("alert")).to_contain_text("there is no concept of that name")
    ask(page, "{your mug} in the snow")
    expect(cards(page).first).to_contain_text("The blue one: blue mug in the snow")
