"""The page, in a browser, over the real application and a version that the test scripts."""

import dataclasses
import shutil

import pytest
from playwright.sync_api import sync_playwright

from services.search.live import Live
from tests.services.fake_source import FakeSource
from tests.services.page.scripted_calls import ScriptedCalls
from tests.services.scripted_service import (
    BROWSERS,
    WATCH_VERSIONS,
    FakeEngine,
    Service,
    learn,
)


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def service(version, tmp_path, monkeypatch):
    monkeypatch.setattr("services.search.live.POLL", 3600)  # a test says when to swap
    for where in ("search.live", "sharing.concepts"):
        monkeypatch.setattr(f"services.{where}.learn", learn)
    metrics = {"persona_percentile": 0.9213, "base_persona_percentile": 0.779}
    version = dataclasses.replace(version, number=3, digest="3" * 64, metrics=metrics)
    live = Live(FakeSource())
    live._engine = FakeEngine(version, tmp_path / "private")
    with Service(live) as service:
        yield service


@pytest.fixture
def engine(service):
    return service.live.engine


@pytest.fixture
def expected_errors():
    """Words that the browser may complain with in a test that breaks something."""
    return []


@pytest.fixture
def page(browser, service, expected_errors):
    """A fresh visitor; whatever the test, nothing is complained of or asked of anybody else."""
    context = browser.new_context(base_url=service.address, reduced_motion="reduce")
    context.add_init_script(WATCH_VERSIONS)
    page = context.new_page()
    page.set_default_timeout(8000)
    complaints, strangers = [], []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: strangers.append(request.url))
    yield page
    context.close()
    assert [said for said in complaints if not any(e in said for e in expected_errors)] == []
    assert [url for url in strangers if not url.startswith(f"{service.address}/")] == []


@pytest.fixture
def calls(page):
    """What the test answers itself."""
    yield ScriptedCalls(page)
    page.unroute_all(behavior="wait")
