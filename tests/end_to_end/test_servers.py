"""A version's life where MLflow and Milvus are servers: nothing of the registry in the checkout."""

import json
import shutil
import sys

import pytest

from registry.catalogue_index import MODELS
from retrieval.index.store import collection_key, open_store
from services.client import Client
from tests.end_to_end.running import QUERIES, VARIANT, Service
from tests.end_to_end.shop import Shop
from tests.servers import Cut, milvus_server, mlflow_server, postgresql

pytestmark = pytest.mark.slow

# `kindred` where nothing is too new to be removed.
OLD = """
import sys
from datetime import timedelta
from registry import stored_models
from services.cli import main
stored_models.FRESH = timedelta(0)
sys.exit(main(sys.argv[1:]))
"""
LOCAL = ("mlflow.db*", "mlruns", "var", "cache")  # what a checkout's own registry would be


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    """The address of an MLflow server over PostgreSQL, and where it keeps artifacts."""
    folder = tmp_path_factory.mktemp("mlflow")
    with postgresql() as server, mlflow_server(f"{server}/postgres", folder) as url:
        yield url, folder / "artifacts"


@pytest.fixture(scope="module")
def milvus(tmp_path_factory):
    with milvus_server(tmp_path_factory.mktemp("milvus")) as uri:
        yield uri


class Life:
    """A checkout whose registry is elsewhere, and the steps that were taken in it."""

    def __init__(self, project, url, artifacts, milvus):
        self.project = project
        self.url = url
        self.artifacts = artifacts
        self.milvus = milvus
        self.broken = ""  # the step that failed: those after it cannot be judged
        self.answers = {}
        self.service = None
        project.env |= {
            "MLFLOW_TRACKING_URI": url,
            "MILVUS_URI": milvus,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        }

    def status(self):
        return json.loads(self.project.kindred("status", "--json").stdout)["versions"]

    def aliases(self):
        return {version["version"]: version["aliases"] for version in self.status()}

    def kept(self):
        """The bundles that MLflow's server keeps."""
        return list(self.artifacts.rglob("format_version"))

    def register(self, check=True):
        return self.project.run(sys.executable, "-m", "pipelines.register", check=check)

    def found(self):
        """What the service answers, once it serves the champion."""
        champion = next(str(n) for n, aliases in self.aliases().items() if "champion" in aliases)
        self.service.until(champion)
        with Client(self.service.url) as client:
            return {text: client.search(text, 12).hits for text in QUERIES}

    def cut(self, requests, *arguments):
        """A verb whose MLflow server goes away after so many requests."""
        with Cut(self.url, requests) as cut:
            env = {**self.project.env, "MLFLOW_TRACKING_URI": cut.url}
            project = self.project.__class__(self.project.folder)
            project.env = env
            return project.run(sys.executable, *arguments, check=False)


@pytest.fixture(scope="module")
def life(tiny, mlflow, milvus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers") / "project"
    shutil.copytree(tiny.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(*LOCAL))
    life = Life(tiny.__class__(folder), *mlflow, milvus)
    yield life
    if life.service:
        life.service.stop()


def _says_so(done, what):
    """Exit code 4, and one sentence."""
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "could not" in last
    assert what in last


def register_is_cut(life):
    _says_so(life.cut(9, "-m", "pipelines.register"), "check MLFLOW_TRACKING_URI")
    assert life.status() == []


def register(life):
    life.register()
    assert life.aliases() == {1: ["challenger"]}
    assert life.kept()
    here = {path.name for path in life.project.folder.iterdir()}
    assert not here & {"mlflow.db", "mlruns", "mlartifacts"}


def register_again(life):
    assert "already registered" in life.register().stdout
    assert life.aliases() == {1: ["challenger"]}


def promote(life):
    life.project.kindred("promote")
    assert life.aliases() == {1: ["challenger", "champion"]}
    assert not (life.project.folder / "var/milvus").exists()


def serve(life):
    life.service = Service(life.project)
    life.answers[1] = life.found()


def another(life):
    life.project.run(sys.executable, "-c", VARIANT)
    assert life.aliases() == {1: ["champion"], 2: ["challenger"]}


def promote_is_cut(life):
    """Wherever that happens, one of both is champion, and running it again completes."""
    seen = set()
    for requests in (0, 4, 12, 16, 18):
        verb = ("-m", "services.cli", "promote", "2", "--force", "--reason", "a test")
        _says_so(life.cut(requests, *verb), "check MLFLOW_TRACKING_URI")
        champion = next(n for n, aliases in life.aliases().items() if "champion" in aliases)
        seen.add(champion)
    assert 1 in seen


def promote_the_other(life):
    life.project.kindred("promote", "2", "--force", "--reason", "a test")
    assert "champion" in life.aliases()[2]
    life.answers[2] = life.found()
    assert life.answers[2] != life.answers[1]


def rollback(life):
    life.project.kindred("rollback")
    assert life.found() == life.answers[1]
    life.project.kindred("promote", "2", "--force", "--reason", "a test")
    assert life.found() == life.answers[2]
    life.project.kindred("rollback")
    assert life.found() == life.answers[1]


def sync(life):
    """New products are found from a revision, whose rollback answers as before."""
    shop = Shop(life.project)
    new = shop.add(3)
    life.project.kindred("catalog", "sync", "shop")
    assert "champion" in life.aliases()[3]
    life.found()
    with Client(life.service.url) as client:
        hits = client.search("paper", 12, filter_={"category": ["zeppelin"]}).hits
    assert {hit.product_id for hit in hits} == set(new)
    life.project.kindred("rollback")
    assert life.found() == life.answers[1]


def prune(life):
    """A dry run changes nothing on either server; then the rolled back revision goes from both."""
    wanted, store = ("prune", "--keep", "0", "--versions"), open_store(life.milvus)
    digests = {version["version"]: version["bundle_sha256"] for version in life.status()}
    keys = {number: {collection_key(d, m) for m in MODELS} for number, d in digests.items()}
    before, kept = store.list_keys(), len(life.kept())
    assert before >= keys[1] | keys[3]
    life.project.run(sys.executable, "-c", OLD, *wanted)
    assert (store.list_keys(), len(life.kept())) == (before, kept)
    life.project.kindred(*wanted, "--yes")
    assert sorted(life.aliases()) == [1, 2, 3]  # registered within the hour, it stays
    said = life.project.run(sys.executable, "-c", OLD, *wanted, "--yes")
    assert sorted(life.aliases()) == [1, 2], said.stdout + said.stderr
    assert "champion" in life.aliases()[1]
    assert not store.list_keys() & keys[3], said.stdout + said.stderr
    assert store.list_keys() >= keys[1]
    assert len(life.kept()) < kept
    assert life.found() == life.answers[1]


def from_another_machine(life):
    """With nothing but the two addresses: an empty folder."""
    folder = life.project.folder.with_name("elsewhere")
    folder.mkdir()
    other = life.project.__class__(folder)
    other.env = {**life.project.env, "PYTHONPATH": str(life.project.folder)}
    cut = Life(other, life.url, life.artifacts, life.milvus)
    search = ("-m", "services.cli", "search", QUERIES[0], "--offline", "--json", "-k", "12")
    _says_so(cut.cut(7, *search), "check MLFLOW_TRACKING_URI")
    other.env |= {"MLFLOW_TRACKING_URI": life.url}
    hits = json.loads(other.run(sys.executable, *search).stdout)["hits"]
    assert [hit["product_id"] for hit in hits] == [
        hit.product_id for hit in life.answers[1][QUERIES[0]]
    ]


def without_milvus(life):
    life.project.env["MILVUS_URI"] = "http://127.0.0.1:9"
    done = life.project.kindred("promote", "2", "--force", "--reason", "a test", check=False)
    life.project.env["MILVUS_URI"] = life.milvus
    assert done.returncode == 4
    assert "check MILVUS_URI" in done.stderr.splitlines()[-1]
    assert "champion" in life.aliases()[1]


# In this order; each needs those before it.
STEPS = (
    register_is_cut,
    register,
    register_again,
    promote,
    serve,
    another,
    promote_is_cut,
    promote_the_other,
    rollback,
    sync,
    prune,
    from_another_machine,
    without_milvus,
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_life_on_servers(step, life):
    if life.broken:
        pytest.skip(f"{life.broken} failed before it")
    life.broken = step.__name__
    step(life)
    life.broken = ""
