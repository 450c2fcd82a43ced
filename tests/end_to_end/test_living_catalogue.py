"""A catalogue that changes under a running service: real models, a real registry, real requests."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.end_to_end.running import PATIENCE, Service
from tests.end_to_end.shop import Shop

pytestmark = pytest.mark.slow

CLIENTS = 8


@pytest.fixture
def project(tiny, tmp_path):
    """A copy of the tiny pipeline's project, with a champion."""
    shutil.copytree(tiny.folder, tmp_path / "project", symlinks=True)
    project = tiny.__class__(tmp_path / "project")
    project.kindred("promote")
    return project


@pytest.fixture
def service(project):
    service = Service(project)
    yield service
    service.stop()


def test_a_sync_and_its_rollback_under_load_lose_nothing(project, service):
    shop = Shop(project)
    gone, new = shop.remove(), shop.add(10)
    ended, served, faults = threading.Event(), set(), []

    def ask(number):
        with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
            while not ended.is_set():
                answer = client.post("/v1/search", json={"query": f"a gift for {number}", "k": 5})
                if answer.status_code != 200 or len(answer.json()["hits"]) != 5:
                    faults.append(answer.text)
                else:
                    served.add(answer.json()["model_version"])
                time.sleep(0.05)

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(ask, number) for number in range(CLIENTS)]
        try:
            said = project.kindred("catalog", "sync", "shop").stdout
            assert "new: 10 (new0, new1, new2, ...)" in said
            assert f"removed: 1 ({gone})" in said
            service.until("2")
            assert_found(service.url, "zeppelin", set(new))
            assert httpx.get(f"{service.url}/images/new3").content[:2] == b"\xff\xd8"
            described = httpx.get(f"{service.url}/v1/model").json()
            assert (described["revision"], described["revision_of"]) == (1, 1)
            assert "nothing changed" in project.kindred("catalog", "sync", "shop").stdout
            project.kindred("rollback")
            service.until("1")
            assert_found(service.url, "zeppelin", set())
        finally:
            ended.set()
        for one in running:
            one.result()
    assert faults == []
    assert served == {"1", "2"}


def assert_found(url, category, ids):
    """By student and base model, which both have read the new pictures."""
    for model in ("champion", "base"):
        asked = {"query": "paper", "k": 20, "model": model, "filter": {"category": [category]}}
        answer = httpx.post(f"{url}/v1/search", json=asked, timeout=PATIENCE).json()
        assert {hit["product_id"] for hit in answer["hits"]} == ids
