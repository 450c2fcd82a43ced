"""A catalogue that changes under a running service: real models, a real registry, real requests."""

import csv
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image, ImageOps

from retrieval.storage.schema import PRODUCTS, read_rows

pytestmark = pytest.mark.slow

PATIENCE = 90  # seconds
CLIENTS = 8
# As `kindred`, with the verb of this tree: what is installed may be an older one.
KINDRED = """
import sys
from importlib.metadata import EntryPoint
from services import cli
catalog = EntryPoint("catalog", "pipelines.sync.command:catalog", cli.BROUGHT)
cli._brought = lambda: {"catalog": catalog}
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def project(tiny, tmp_path):
    """A copy of the tiny pipeline's project, with a champion and a folder of what it serves."""
    shutil.copytree(tiny.folder, tmp_path / "project", symlinks=True)
    project = tiny.__class__(tmp_path / "project")
    project.kindred("promote")
    catalog = project.folder / "data/catalog"
    shop = project.folder / "shop"
    shutil.copytree(catalog / "images", shop / "images")
    write_table(shop, [cells_of(row) for row in read_rows(catalog / "products.parquet", PRODUCTS)])
    return project


def cells_of(row):
    named = {f"attr.{name}": value for name, value in row["attributes"].items()}
    told = {name: row[name] for name in ("product_id", "title", "caption", "category", "image")}
    return {**told, "price": row["price"], **named}


def write_table(shop, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (shop / "products.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def read_table(shop):
    with (shop / "products.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def url(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    log = (project.folder / "serve.log").open("w")
    serve = [sys.executable, "-m", "services.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(serve, cwd=project.folder, env=project.env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: httpx.get(f"{address}/readyz").status_code == 200)
    yield address
    process.terminate()
    process.wait(PATIENCE)
    log.close()


def wait_for(found):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("not in time")


def sync(project, *arguments):
    return project.run(sys.executable, "-c", KINDRED, "catalog", "sync", "shop", *arguments)


def test_a_sync_and_its_rollback_under_load_lose_nothing(project, url):
    shop = project.folder / "shop"
    rows = read_table(shop)
    gone = rows.pop(0)["product_id"]
    for number in range(10):
        new = {**rows[number], "product_id": f"new{number}", "image": f"images/new{number}.png"}
        new |= {"title": "A zeppelin of paper", "category": "zeppelin"}
        with Image.open(shop / rows[number]["image"]) as image:
            ImageOps.mirror(image).save(shop / new["image"])
        rows.append(new)
    write_table(shop, rows)
    ended, served, faults = threading.Event(), set(), []

    def ask(number):
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            while not ended.is_set():
                answer = client.post("/v1/search", json={"query": f"a gift for {number}", "k": 5})
                if answer.status_code != 200 or len(answer.json()["hits"]) != 5:
                    faults.append(answer.text)
                else:
                    served.add(answer.json()["model_version"])
                time.sleep(0.05)

    def serves(version):
        return httpx.get(f"{url}/v1/model").json()["version"] == version

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(ask, number) for number in range(CLIENTS)]
        try:
            said = sync(project).stdout
            assert "new: 10 (new0, new1, new2, ...)" in said
            assert f"removed: 1 ({gone})" in said
            wait_for(lambda: serves("2"))
            assert_found(url, "zeppelin", {f"new{number}" for number in range(10)})
            assert httpx.get(f"{url}/images/new3").content[:2] == b"\xff\xd8"
            described = httpx.get(f"{url}/v1/model").json()
            assert (described["revision"], described["revision_of"]) == (1, 1)
            assert "nothing changed" in sync(project).stdout
            project.kindred("rollback")
            wait_for(lambda: serves("1"))
            assert_found(url, "zeppelin", set())
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
