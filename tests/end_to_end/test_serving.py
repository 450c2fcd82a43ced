"""Promote, serve, search and swap: the commands of the README, with the real process of BentoML."""

import concurrent.futures
import json
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import psutil
import pytest

from services.client import Client, ServiceError
from tests.end_to_end.running import PATIENCE, QUERIES, VARIANT, Service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tiny, tmp_path_factory):
    """A copy of the tiny pipeline's project, with one version and no champion."""
    folder = tmp_path_factory.mktemp("serving") / "project"
    shutil.copytree(tiny.folder, folder, symlinks=True)
    return tiny.__class__(folder)


class Proxy(socketserver.ThreadingTCPServer):
    """Where whatever calls out would connect; it notes that, and hangs up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.calls = []
        address = f"http://127.0.0.1:{self.server_address[1]}"
        names = ("http_proxy", "https_proxy", "all_proxy")
        self.env = {name: address for upper in names for name in (upper, upper.upper())}
        self.env |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}

    def process_request(self, request, client_address):
        self.calls.append(request.recv(1000))
        super().process_request(request, client_address)


@pytest.fixture(scope="module")
def outside():
    with Proxy() as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.fixture(scope="module")
def service(project, outside):
    project.kindred("promote")
    project.run(sys.executable, "-c", VARIANT)
    service = Service(project, env=outside.env)
    yield service
    if service.process.poll() is None:
        service.stop()


def _offline(project, text, version):
    done = project.kindred("search", text, "--offline", "--json", "-k", "12", "--version", version)
    return [hit["product_id"] for hit in json.loads(done.stdout)["hits"]]


def test_without_a_champion_every_way_in_names_the_command(project):
    for arguments in (["serve"], ["rollback"]):
        refused = project.kindred(*arguments, check=False)
        assert refused.returncode == 1
        assert "kindred promote" in refused.stderr
    assert "kindred promote" in project.kindred("status").stdout
    assert "kindred promote" in project.kindred("history").stdout


def test_a_version_is_served_before_it_is_promoted(project):
    service = Service(project, "--version", "challenger")
    with Client(service.url) as client:
        assert client.model()["follows"] == "challenger"
        assert client.search(QUERIES[0]).model_version == "1"
    assert service.stop() == 0


def test_it_finds_what_the_offline_search_finds(project, service):
    with Client(service.url) as client:
        for text in QUERIES[:2]:
            hits = client.search(text, k=12).hits
            assert [hit.product_id for hit in hits] == _offline(project, text, "1")
            assert client.image(hits[0].image_url)[:2] == b"\xff\xd8"
        vectors = client.embed(QUERIES)
        assert vectors.shape[0] == len(QUERIES)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_conditions_hold(service):
    with Client(service.url) as client:
        category = client.model()["catalogue"]["categories"][0]["name"]
        found = client.search("a mug", 50, {"category": [category], "price": {"lte": 40}}).hits
        assert found
        assert all(hit.category == category and hit.price <= 40 for hit in found)
    refused = httpx.post(f"{service.url}/v1/search", json={"query": "a mug", "k": 1000})
    assert refused.status_code == 422
    assert "less than or equal to 200" in refused.json()["detail"]


def test_the_command_line_asks_the_service(project, service):
    env = {**project.env, "KINDRED_URL": service.url}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "search", QUERIES[0], "--json", "-k", "12"],
        cwd=project.folder, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["model_version"] == "1"
    assert [hit["product_id"] for hit in answer["hits"]] == _offline(project, QUERIES[0], "1")


def test_health_metrics_page_and_description_are_there(service):
    for path in ("/livez", "/readyz", "/metrics", "/", "/page/main.js", "/openapi.json"):
        answer = httpx.get(service.url + path)
        assert answer.status_code == 200, path
    assert "/v1/search" in httpx.get(f"{service.url}/openapi.json").json()["paths"]
    numbers = httpx.get(f"{service.url}/metrics").text
    assert "kindred_request_seconds_bucket" in numbers
    assert "bentoml_service" not in numbers


def test_many_clients_at_once_each_get_their_own_answer(service):
    with Client(service.url) as client:
        expected = [_scores(client.search(text, 5)) for text in QUERIES]

    def ask(number):
        with Client(service.url) as client:
            return [_scores(client.search(QUERIES[number % len(QUERIES)], 5)) for _ in range(10)]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for number, answers in enumerate(pool.map(ask, range(32))):
            for answer in answers:
                # Sums differ in the last bits with the company that a text is encoded in.
                assert answer == pytest.approx(expected[number % len(QUERIES)], abs=1e-5)


def _scores(found):
    return {hit.product_id: hit.score for hit in found.hits}


def test_a_promotion_and_a_rollback_under_load_lose_and_mix_nothing(project, service):
    by_version = {
        version: {text: _offline(project, text, version) for text in QUERIES}
        for version in ("1", "2")
    }
    assert by_version["1"] != by_version["2"]
    ended, seen, faults = threading.Event(), set(), []

    def ask(number):
        with Client(service.url) as client:
            while not ended.is_set():
                text = QUERIES[number % len(QUERIES)]
                try:
                    found = client.search(text, 12)
                except (ServiceError, ConnectionError) as error:
                    faults.append(error)
                    continue
                seen.add(found.model_version)
                hits = [hit.product_id for hit in found.hits]
                if hits != by_version[found.model_version][text]:
                    faults.append((found.model_version, hits))
                time.sleep(0.05)  # or the two promotions would starve

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask, number) for number in range(4)]
        try:
            project.kindred("promote", "2", "--force", "--reason", "a test")
            service.until("2")
            project.kindred("rollback")
            service.until("1")
        finally:
            ended.set()
        for future in running:
            future.result()
    assert faults == []
    assert seen == {"1", "2"}
    history = json.loads(project.kindred("history", "--json").stdout)
    assert [(c["action"], c["after"], c["outcome"]) for c in history["changes"]] == [
        ("rollback", 1, "done"),
        ("promote", 2, "done"),
        ("promote", 1, "done"),
    ]


def _until_gone(process):
    deadline = time.monotonic() + PATIENCE
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{process} still runs"
        time.sleep(0.1)


def test_nothing_calls_out(project, service, outside):
    assert outside.calls == []
    call = "import urllib.request; urllib.request.urlopen('http://kindred.invalid', timeout=9)"
    subprocess.run([sys.executable, "-c", call], env={**project.env, **outside.env}, check=False)
    assert len(outside.calls) == 1  # it would have been noticed


def test_it_ends_when_told_and_leaves_nothing(project, service):
    private = project.folder / "var/serve"
    assert list(private.iterdir())
    assert service.stop() == 0
    assert list(private.iterdir()) == []
    refused = project.kindred("search", "a mug", check=False)
    assert refused.returncode == 4
    assert "kindred serve" in refused.stderr


def test_a_killed_service_takes_its_workers_along_and_the_next_one_sweeps_up(project):
    private = project.folder / "var/serve"
    service = Service(project, "--workers", "2")
    workers = service.workers
    assert len(workers) == 2
    service.process.kill()
    for worker in workers:
        _until_gone(worker)
    service = Service(project, "--workers", "1")
    (worker,) = service.workers
    worker.suspend()  # or it would tidy up
    service.process.kill()
    worker.kill()
    _until_gone(worker)
    gone = {str(worker.pid), str(service.process.pid)}
    assert {path.name.split(".")[0] for path in private.iterdir()} == gone
    again = Service(project)
    assert not [path for pid in gone for path in private.glob(f"{pid}.*")]
    assert again.stop(signal.SIGINT) == 0


class Starting(Service):
    """One whose workers have begun to start."""

    def _wait(self):
        deadline = time.monotonic() + PATIENCE
        while len(self.workers) < 2:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)


def test_a_service_killed_while_it_starts_leaves_no_worker(project):
    """Its workers have another parent by the time that they look who that is."""
    service = Starting(project, "--workers", "2")
    workers = service.workers
    service.process.kill()
    for worker in workers:
        _until_gone(worker)
    assert Service(project, "--workers", "1").stop() == 0
    assert list((project.folder / "var/serve").iterdir()) == []


def test_a_killed_worker_is_noticed_at_once_and_its_clients_get_their_answers(project):
    service = Service(project, "--workers", "1")
    (worker,) = service.workers
    with concurrent.futures.ThreadPoolExecutor(4) as clients:

        def ask(_):
            with Client(service.url, timeout=PATIENCE) as client:
                for _ in range(20):
                    client.search(QUERIES[0])

        asking = [clients.submit(ask, number) for number in range(4)]
        time.sleep(0.2)
        worker.kill()
        killed = time.monotonic()
        while not _workers_but(service, worker):
            assert time.monotonic() - killed < 5, "BentoML's own ten seconds"
            time.sleep(0.05)
        for one in asking:
            one.result(PATIENCE)
    assert service.stop(signal.SIGINT) == 0


def _workers_but(service, worker):
    return [other for other in service.workers if other.pid != worker.pid]
