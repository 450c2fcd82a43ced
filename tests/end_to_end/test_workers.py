"""Two real workers of one service agree, within a second, on concepts and on the version."""

import concurrent.futures
import contextlib
import io
import shutil
import sqlite3
import sys
import threading
import time

import httpx
import psutil
import pytest
from PIL import Image

from tests.end_to_end.running import PATIENCE, VARIANT, Service

pytestmark = pytest.mark.slow

AGREE = 1.0  # seconds
NAMES = ("my mug", "rex", "the ☂")


@pytest.fixture(scope="module")
def project(tiny, tmp_path_factory):
    """A copy of the tiny pipeline's project, whose champion is version 1 of two."""
    folder = tmp_path_factory.mktemp("workers") / "project"
    shutil.copytree(tiny.folder, folder, symlinks=True)
    project = tiny.__class__(folder)
    project.kindred("promote")
    project.run(sys.executable, "-c", VARIANT)
    return project


@pytest.fixture(scope="module")
def service(project):
    service = Service(project, "--workers", "2")
    told = project.folder / f"var/serve/{service.process.pid}.peers"
    deadline = time.monotonic() + PATIENCE
    while len(list(told.glob("[0-9]*"))) < 2:  # it is ready as soon as one is
        assert time.monotonic() < deadline, service.log.read_text()
        time.sleep(0.1)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def workers(service):
    both = service.workers
    assert len(both) == 2
    return both


@pytest.fixture(scope="module")
def photos(project):
    """Two photos of each concept's thing: a product's picture, and a part of it."""
    pictures = sorted((project.folder / "data/catalog/images").glob("*"))
    return {name: _photos(pictures[at]) for at, name in enumerate(NAMES)}


def _photos(path):
    jpegs = []
    with Image.open(path) as whole:
        for cut in (0, 8):
            file = io.BytesIO()
            part = whole.convert("RGB").crop((cut, cut, whole.width - cut, whole.height - cut))
            part.save(file, "JPEG")
            jpegs.append(file.getvalue())
    return jpegs


@contextlib.contextmanager
def alone(worker, workers):
    """Have one worker answer everything: the others stand still."""
    others = [other for other in workers if other != worker]
    for other in others:
        other.suspend()
    try:
        yield
    finally:
        for other in others:
            other.resume()


def ask(service, worker, workers, method, path, **content):
    """One worker's answer, on a connection of its own."""
    with alone(worker, workers):
        return httpx.request(method, service.url + path, timeout=PATIENCE, **content)


def search(service, worker, workers, query, k=5):
    body = {"query": query, "k": k}
    return ask(service, worker, workers, "POST", "/v1/search", json=body)


def teach(service, worker, workers, name, jpegs):
    files = [("photos", (f"{at}.jpg", jpeg, "image/jpeg")) for at, jpeg in enumerate(jpegs)]
    data = {"name": name, "noun": "mug"}
    return ask(service, worker, workers, "POST", "/v1/concepts", data=data, files=files)


def learned_for(project, bundle):
    """Names of the concepts that are learned for a version."""
    with sqlite3.connect(project.folder / "var/kindred.db") as database:
        rows = database.execute(
            "SELECT name FROM concepts JOIN factors ON concept = concepts.id"
            " WHERE bundle = ? AND problem = '' AND factors.taught = concepts.taught",
            (bundle,),
        )
        return {name for (name,) in rows}


def test_what_one_worker_is_taught_the_other_knows_at_once(service, workers, photos):
    one, other = workers
    for name in NAMES:
        taught = teach(service, one, workers, name, photos[name])
        assert taught.status_code == 201, taught.text
    listed = ask(service, other, workers, "GET", "/v1/concepts").json()["concepts"]
    assert [concept["name"] for concept in listed] == [*NAMES]
    answers = [search(service, each, workers, "{rex} on a beach").json() for each in workers]
    assert [answer["concepts"] for answer in answers] == [["rex"], ["rex"]]
    assert _scores(answers[0]) == pytest.approx(_scores(answers[1]), abs=1e-5)
    assert teach(service, other, workers, "rex", photos["rex"]).status_code == 409


def test_what_one_worker_forgets_the_other_has_forgotten(service, workers, photos):
    one, other = workers
    assert teach(service, one, workers, "passing", photos["rex"]).status_code == 201
    address = ask(service, other, workers, "GET", "/v1/concepts/passing").json()["photos"][0]
    assert ask(service, other, workers, "GET", address).status_code == 200
    assert search(service, other, workers, "{passing} on a beach").status_code == 200
    assert ask(service, one, workers, "DELETE", "/v1/concepts/passing").status_code == 204
    assert ask(service, other, workers, "GET", address).status_code == 404
    assert ask(service, other, workers, "GET", "/v1/concepts/passing").status_code == 404
    gone = search(service, other, workers, "{passing} on a beach")
    assert (gone.status_code, "no concept of that name" in gone.text) == (422, True)


def test_both_swap_within_a_second_and_have_learned_all_concepts_before(project, service, workers):
    ended, answers = threading.Event(), []

    def keep_asking(number):
        while not ended.is_set():  # a connection a request: either worker may take it
            body = {"query": f"{{{NAMES[number % 3]}}} on a beach", "k": 3}
            answer = httpx.post(f"{service.url}/v1/search", json=body, timeout=PATIENCE)
            found = answer.json()
            learned = learned_for(project, found["bundle_sha256"]) if answer.is_success else None
            answers.append((time.monotonic(), answer.status_code, found, learned))
            time.sleep(0.02)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking, number) for number in range(4)]
        try:
            for verb, version in ((("promote", "2", "--force", "--reason", "a test"), "2"),
                                  (("rollback",), "1")):  # fmt: skip
                project.kindred(*verb)
                service.until(version)
                for worker in workers:
                    told = ask(service, worker, workers, "GET", "/v1/model").json()
                    assert told["version"] == version
        finally:
            ended.set()
        for one in asking:
            one.result()
    assert {status for _, status, _, _ in answers} == {200}
    assert all(learned == {*NAMES} for _, _, _, learned in answers)
    second = [at for at, _, found, _ in answers if found["model_version"] == "2"]
    first = [at for at, _, found, _ in answers if found["model_version"] == "1"]
    # While they disagree, answers of both versions come.
    begun, back = min(second), max(second)
    assert max(at for at in first if at < (begun + back) / 2) - begun < AGREE
    assert back - min(at for at in first if at > (begun + back) / 2) < AGREE


def test_what_was_taught_under_one_version_is_there_under_the_next(
    project, service, workers, photos
):
    one, other = workers
    project.kindred("promote", "2", "--force", "--reason", "a test")
    service.until("2")
    assert teach(service, one, workers, "late", photos["rex"]).status_code == 201
    project.kindred("rollback")
    service.until("1")
    answers = [search(service, each, workers, "{late} on a beach").json() for each in workers]
    assert [answer["model_version"] for answer in answers] == ["1", "1"]
    assert _scores(answers[0]) == pytest.approx(_scores(answers[1]), abs=1e-5)
    assert ask(service, other, workers, "DELETE", "/v1/concepts/late").status_code == 204


def test_each_speaks_of_the_queries_of_both(service, workers):
    def counted(worker):
        return (ask(service, worker, workers, "GET", "/v1/model").json()["drift"] or {"n": 0})["n"]

    before = max(counted(worker) for worker in workers)
    for worker in workers:
        assert search(service, worker, workers, "a present for a reader").status_code == 200
    deadline = time.monotonic() + PATIENCE
    while min(counts := [counted(worker) for worker in workers]) < before + 2:
        assert time.monotonic() < deadline, (before, counts)
        time.sleep(1)


def test_clients_that_all_came_to_one_worker_are_shared_out(service, workers):
    with contextlib.ExitStack() as clients:
        eight = [clients.enter_context(httpx.Client(base_url=service.url)) for _ in range(8)]
        pool = clients.enter_context(concurrent.futures.ThreadPoolExecutor(8))

        def ask_all():
            answers = pool.map(lambda one: one.get("/v1/model", timeout=PATIENCE), eight)
            assert all(answer.is_success for answer in answers)

        with alone(workers[0], workers):
            ask_all()
            assert _connections(workers, service.port)[1] == 0  # and some were ended already
        deadline = time.monotonic() + PATIENCE
        before = None
        while _client_ports(workers, service.port) != before:  # in the end they stay
            assert time.monotonic() < deadline, _connections(workers, service.port)
            before = _client_ports(workers, service.port)
            ended = time.monotonic() + AGREE
            while time.monotonic() < ended:
                ask_all()
        assert _connections(workers, service.port) == [4, 4]


def _connections(workers, port):
    return [len(ports) for ports in _client_ports(workers, port)]


def _client_ports(workers, port):
    return [
        {
            one.raddr.port
            for one in worker.net_connections("tcp")
            if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port
        }
        for worker in workers
    ]


def _scores(answer):
    return {hit["product_id"]: hit["score"] for hit in answer["hits"]}
