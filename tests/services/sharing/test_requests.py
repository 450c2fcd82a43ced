"""Every request has an id; what fails or is slow has a line of JSON; Prometheus has numbers."""

import io
import json
import logging

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from services.http import requests
from services.http.logs import PACKAGES, configure_logs
from services.http.metrics import Metrics
from tests.services.sharing.conftest import teach

SECRET = "a present for my ex"


@pytest.fixture
def log(monkeypatch):
    """What goes to standard error, parsed."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(one.handlers, one.propagate, one.level) for one in loggers]
    configure_logs()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for one, (one.handlers, one.propagate, level) in zip(loggers, before, strict=True):
        one.setLevel(level)


@pytest.fixture
def numbers(open_client):
    def read():
        text = open_client.get("/metrics").text
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return read


def test_the_log_shows_no_password_of_an_address(log):
    try:
        raise ConnectionError("Milvus at http://kindred:secret@db:19530 failed")
    except ConnectionError:
        logging.getLogger("services.anything").exception("it serves on")
    (line,) = log()
    assert "http://kindred:***@db:19530" in line["exc_info"]
    assert "secret" not in line["exc_info"]


@pytest.mark.parametrize("given", ["abc-1.2_3:4", "x" * 64])
def test_a_sane_id_is_kept(open_client, given):
    answer = open_client.get("/v1/model", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "ü"])
def test_another_is_made_anew(open_client, given):
    headers = {"X-Request-Id": given.encode()}
    made = [open_client.get("/v1/none", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(one.isalnum() and len(one) == 32 for one in made)


def broken(engine):
    def search(queries):
        msg = f"cannot tokenize {queries[0].text}"
        raise RuntimeError(msg)

    engine.search = search


def test_a_failure_is_one_line_with_the_id_and_without_what_was_asked(app, engine, log):
    broken(engine)
    with TestClient(app) as client:
        answer = client.post("/v1/search", json={"query": SECRET}, headers={"X-Request-Id": "abc"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "abc")
    (line,) = log()
    assert (line["request_id"], line["level"], line["route"]) == ("abc", "ERROR", "/v1/search")
    assert (line["status"], line["error"]) == (500, "RuntimeError")
    assert any("search" in frame for frame in line["where"])
    assert SECRET not in json.dumps(line)


def test_who_asks_for_it_gets_the_queries_into_the_log(app, engine, log, monkeypatch):
    monkeypatch.setenv("KINDRED_LOG_QUERIES", "1")
    broken(engine)
    with TestClient(app) as client:
        client.post("/v1/search", json={"query": SECRET})
    (line,) = log()
    assert line["query"] == SECRET
    assert f"cannot tokenize {SECRET}" in line["error"]


def test_a_slow_request_is_one_line_and_a_quick_one_none(open_client, log, monkeypatch):
    open_client.get("/v1/concepts/ex-present")
    assert log() == []
    monkeypatch.setattr(requests, "SLOW", 0.0)
    open_client.get("/v1/concepts/ex-present")
    (line,) = log()
    assert (line["message"], line["route"]) == ("slow", "/v1/concepts/{name}")
    assert "ex-present" not in json.dumps(line)


def test_numbers_of_searches_by_phase(open_client, numbers):
    for _ in range(3):
        open_client.post("/v1/search", json={"query": "a mug"})
    found = numbers()
    for phase in ("queue", "total"):
        assert found[("kindred_request_seconds_count", ("phase", phase))] == 3
    assert found[("kindred_batch_size_sum", ("kind", "search"))] == 3
    assert found[("kindred_version_info", ("digest", "d" * 64), ("version", "3"))] == 1


def test_paths_make_no_series(open_client, numbers):
    for name in ("p1", "p2", "p3"):
        open_client.get(f"/images/{name}")
        open_client.get(f"/v1/{name}")
        open_client.request(f"X{name}", "/v1/model")
    found = numbers()
    image = ("route", "/images/{product_id:path}")
    key = "kindred_requests_total"
    assert found[(key, ("method", "GET"), image, ("status", "200"))] == 1
    assert found[(key, ("method", "GET"), image, ("status", "404"))] == 2
    assert found[(key, ("method", "GET"), ("route", "other"), ("status", "404"))] == 3
    assert found[("kindred_errors_total", ("kind", "missing"))] == 5
    assert not any("p1" in str(sample) for sample in found)


def test_concepts_are_counted(open_client, numbers):
    assert numbers()[("kindred_concepts",)] == 0
    teach(open_client, {})
    assert numbers()[("kindred_concepts",)] == 1


def test_a_swap_is_counted(open_client, live, numbers, monkeypatch):
    import dataclasses

    newer = dataclasses.replace(live.engine.version, number=4, digest="e" * 64)
    live.source.version = newer
    monkeypatch.setattr(live, "_open", lambda version: 1 / 0)
    open_client.portal.call(live.follow)
    assert numbers()[("kindred_swaps_total", ("done", "no"))] == 1


def test_workers_are_counted_together(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from services.http.metrics import Metrics\n"
        "Metrics.of_worker(Path(sys.argv[1])).request('/v1/search', 'POST', 200, 0.1)\n"
    )
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "bentoml"), "PYTHONPATH": ":".join(sys.path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "own")], env=env, check=True)
    read = (
        "import sys; from pathlib import Path; from services.http.metrics import Metrics\n"
        "print(Metrics.of_worker(Path(sys.argv[1])).text(1, 'd', 0).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", read, str(tmp_path / "own")],
        env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert (
        'kindred_requests_total{method="POST",route="/v1/search",status="200"} 2.0' in done.stdout
    )
    assert not (tmp_path / "bentoml").exists()
    assert Metrics.of_worker(tmp_path / "none")._folder is None
