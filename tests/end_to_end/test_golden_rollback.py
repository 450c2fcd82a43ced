"""After a rollback the answers are byte for byte those before: on the command line and by HTTP."""

import json
import shutil
import time
from pathlib import Path

import httpx
import pytest

from registry.checksums import write_sums
from registry.in_use import is_used
from registry.promotion import promote, rollback
from registry.store import CACHE, register_bundle
from registry.versions import list_versions
from retrieval.storage.vectors import read_vectors, write_vectors
from services.cli import main
from tests.end_to_end.conftest import Project
from tests.end_to_end.test_serving import PATIENCE, Service
from tests.registry.golden_bundle import GOLDEN

NAME = "kindred"
QUERIES = ("a yellow mug", "for uncle no 3", "a red dog", "pink", "no mug")


@pytest.fixture
def versions(tmp_path, monkeypatch) -> Path:
    """Three versions of a real, tiny model: each finds other products."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setenv("KINDRED_DB", f"sqlite:///{home}/kindred.db")
    monkeypatch.delenv("MILVUS_URI", raising=False)
    for number in range(3):
        folder = tmp_path / f"bundle-{number}"
        shutil.copytree(GOLDEN / "format_5/bundle", folder)
        known = read_vectors(folder / "vectors/student.parquet")
        ids = known.ids[number:] + known.ids[:number]
        write_vectors(folder / "vectors/student.parquet", ids, known.vectors)
        write_sums(folder)
        register_bundle(folder, NAME)
    return home


def walk(ask):
    """Promote 1 and 2, go back, promote 3, go back: what was answered each time."""
    promote(NAME, "1")
    first = ask("1")
    promote(NAME, "2", reason="a test")
    second = ask("2")
    rollback(NAME)
    back = ask("1")
    promote(NAME, "3", reason="a test")
    third = ask("3")
    rollback(NAME)
    return first, second, back, third, ask("1")


def test_the_command_line_answers_as_before(versions, capsys):
    def ask(version: str) -> list[str]:
        answers = []
        for query in QUERIES:
            assert main(["search", query, "--offline", "--json", "-k", "8"]) == 0
            answers.append(capsys.readouterr().out)
            assert json.loads(answers[-1])["model_version"] == version
        return answers

    first, second, back, third, again = walk(ask)
    assert first == back == again
    hits = [[json.loads(one)["hits"] for one in answers] for answers in (first, second, third)]
    assert hits[0] != hits[1] != hits[2] != hits[0]
    assert all(len({hit["score"] for hit in found}) > 4 for found in hits[0])


@pytest.mark.slow
def test_a_running_service_answers_as_before(versions):
    promote(NAME, "1")
    project = Project(versions)
    project.env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{versions}/mlflow.db"}
    service = Service(project)

    def ask(version: str) -> list[bytes]:
        deadline = time.monotonic() + PATIENCE
        while httpx.get(f"{service.url}/v1/model").json()["version"] != version:
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.2)
        return [search(query) for query in QUERIES]

    def search(query: str) -> bytes:
        """The answer without the time that it took."""
        answer = httpx.post(f"{service.url}/v1/search", json={"query": query, "k": 8})
        answer.raise_for_status()
        told = answer.json()
        del told["took_ms"]
        return json.dumps(told).encode()

    try:
        first, second, back, third, again = walk(ask)
        assert _in_use() == {"1"}
    finally:
        assert service.stop() == 0
    assert first == back == again
    assert len({tuple(first), tuple(second), tuple(third)}) == 3
    assert _in_use() == set()


def _in_use() -> set[str]:
    """Versions that the service has not let go of: `kindred prune` leaves them alone."""
    return {str(v.number) for v in list_versions(NAME) if is_used(CACHE, v.digest)}
