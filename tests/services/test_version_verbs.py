"""`kindred lineage` and `kindred diff` over a real registry of two tiny versions."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from registry.bundle import Bundle
from registry.bundle_writer import BundleSources, write_bundle
from registry.dvc_lock import StageRecord
from registry.history import close_change, open_change
from registry.lineage import Account, Asking
from registry.store import register_bundle
from registry.versions import find_version, set_alias
from retrieval.storage.schema import PRODUCTS, read_rows, write_rows
from retrieval.storage.vectors import write_vectors
from services.cli import main
from tests.registry import promoted
from tests.registry.conftest import _make_sources

STAGES = {
    "distill@c1": StageRecord(
        deps={"pipelines/training": "code-1", "data/labels/c1/rankings.parquet": "labels-1"},
        params={"params.yaml": {"seed": 0, "distill": {"rank": 64, "train": "map"}}},
        outs={"models/student": "student-1"},
    )
}
ACCOUNT = Account(
    products={"train": 3, "val": 3, "test": 2},
    personas={"train": 2, "val": 2, "test": 2},
    rankings={"c1": 900},
    rejects={"products.csv": 4},
    dropped={},
    asked={
        "label c1": Asking(calls=950, failures=2, cost_usd=1.25),
        "tournaments": Asking(calls=7),
    },
    registered_by={"pipelines/register.py": "r1"},
)


class FakeEncoder(promoted.FakeEncoder):
    def encode_files(self, paths: list[Path]) -> np.ndarray:
        return np.eye(8, dtype=np.float32)[[5] * len(paths)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Version 1 is champion; 2 has another catalogue, other parameters and other vectors."""
    root = tmp_path_factory.mktemp("versions")
    home = root / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        sources = _make_sources(root / "made")
        lineage = sources.lineage.model_copy(update={"stages": STAGES, "account": ACCOUNT})
        _register(root / "one", replace(sources, lineage=lineage))
        first = find_version("kindred", "1")
        close_change(open_change("promote", None, first), "done")
        set_alias(first, "champion")
        _register(root / "two", _other(sources))
        yield home


def _register(folder: Path, sources: BundleSources) -> None:
    promoted.write_text_vectors(sources)
    write_bundle(folder, sources)
    register_bundle(folder, "kindred")


def _other(sources: BundleSources) -> BundleSources:
    """p0 costs less, p7 is gone, p8 is new and has a picture of its own; nobody finds the same."""
    rows = [row | {"price": 5.0} if row["product_id"] == "p0" else row
            for row in read_rows(sources.products, PRODUCTS)[:-1]]  # fmt: skip
    new = rows[2] | {"product_id": "p8", "image": "images/p8.png", "image_sha256": "8" * 64}
    Image.new("RGB", (20, 40), "green").save(sources.products.parent / new["image"])
    write_rows(sources.products, [*rows, new], PRODUCTS)
    ids = [row["product_id"] for row in (*rows, new)]
    for path in (sources.student_vectors, sources.base_vectors, sources.caption_vectors):
        write_vectors(path, ids, np.eye(8, dtype=np.float32)[::-1].copy())
    (sources.model / "weights").write_text("other")
    (stage,) = STAGES.values()
    params = {"params.yaml": {"seed": 0, "distill": {"rank": 32, "train": "map"}}}
    stages = {
        "distill@c1": stage.model_copy(update={"params": params, "outs": {"models/student": "s2"}})
    }
    teacher = {"kind": "simulated", "noise": 0.5}
    update = {"stages": stages, "teacher": teacher, "packages": {"torch": "2.15"}}
    return replace(sources, lineage=sources.lineage.model_copy(update=update))


@pytest.fixture
def kindred(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a verb, and return what it prints."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setattr(
        Bundle, "load_encoder", lambda self, device="cpu": FakeEncoder(self.folder / "model")
    )

    def run(*arguments: str, code: int = 0) -> str:
        assert main(list(arguments)) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


def test_lineage_is_the_champions_by_default(kindred: Callable[..., str]) -> None:
    said = " ".join(kindred("lineage").split())
    assert said.startswith("kindred version 1 (champion), registered ")
    assert "commit c0ffee; the tree was clean" in said
    assert "products 8 (train 3, val 3, test 2)" in said
    assert "refused 4 (products.csv 4)" in said
    assert "label c1 950 2 - - $1.25" in said
    assert "tournaments 7 - - - see `kindred labels cost`" in said
    assert "distill rank 64, train map" in said
    assert "promote 20" in said
    assert "DVC has md5 models/student student-1" in said
    assert "Not known" not in said


def test_lineage_as_json_is_complete(kindred: Callable[..., str]) -> None:
    found = json.loads(kindred("lineage", "1", "--json"))
    assert found["parameters"] == {"seed": "0", "distill.rank": "64", "distill.train": "map"}
    assert found["stages"]["distill@c1"]["deps"]["pipelines/training"] == "code-1"
    assert found["asked"]["label c1"]["cost_usd"] == 1.25
    assert found["data"]["rankings"] == {"c1": 900}
    assert found["code"]["register"] == {"pipelines/register.py": "r1"}
    assert found["runs"]["base"] == "run-1"
    assert [one["action"] for one in found["promotions"]] == ["promote"]
    assert found["gates"]["retrieval"] == {"passed": True, "reasons": []}


def test_a_version_that_did_not_count_says_so(kindred: Callable[..., str]) -> None:
    said = " ".join(kindred("lineage", "2").split())
    assert "Not known rows that were refused, calls and cost" in said
    assert "never champion" in said
    assert json.loads(kindred("lineage", "2", "--json"))["asked"] is None


@pytest.mark.parametrize("suffix", ["svg", "png", "SVG"])
def test_lineage_as_a_picture(kindred: Callable[..., str], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph.{suffix}"
    assert kindred("lineage", "--graph", str(path)).endswith(f"wrote {path}\n")
    if suffix == "png":
        with Image.open(path) as picture:
            assert picture.width > 1.3 * picture.height > 700
    else:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    drawn = path.read_bytes()
    kindred("lineage", "--graph", str(path))
    assert path.read_bytes() == drawn  # the same lineage, the same picture


def test_what_is_wrong_with_a_lineage_is_one_line(
    kindred: Callable[..., str], tmp_path: Path
) -> None:
    assert "expected one of 2, 1, challenger, champion" in kindred("lineage", "9", code=2)
    assert "ends in .svg or .png" in kindred("lineage", "--graph", "graph.pdf", code=2)
    (tmp_path / "file").touch()
    assert kindred("lineage", "--graph", str(tmp_path / "file" / "g.svg"), code=1).count("\n") == 1


def test_diff_tells_what_changed(kindred: Callable[..., str]) -> None:
    said = " ".join(kindred("diff", "champion", "challenger").split())
    assert "from version 1 (champion) to version 2 (challenger)" in said
    assert "8 -> 8: 1 added, 1 removed, 1 changed (price 1)" in said
    assert "noise 0.25 -> 0.5" in said
    assert "distill.rank 64 -> 32" in said
    assert (
        "the repository here has no commit c0ffee" in said or "both were made at the same" in said
    )
    assert "torch 2.14.1 -> 2.15" in said
    assert "mean percentile" in said
    assert "rankings by cycle: version 2 is older than their record" in said
    assert "Of 2 queries 0 find the same first ten" in said
    assert "1 of 3 held-out products have another picture in the first version, or are not" in said


def test_diff_as_json_is_complete(kindred: Callable[..., str]) -> None:
    found = json.loads(kindred("diff", "1", "2", "--json"))
    assert (found["same"], found["before"]["version"], found["after"]["version"]) == (False, 1, 2)
    assert found["products"]["added"] == ["p8"]
    assert found["products"]["removed"] == ["p7"]
    assert found["products"]["changed"] == {"p0": {"price": [None, 5.0]}}
    assert found["parameters"] == {"distill.rank": ["64", "32"]}
    assert found["data"]["models/student"] == ["student-1", "s2"]
    assert found["code"]["paths"] == {}
    metric = next(one for one in found["metrics"] if one["what"] == "mean percentile")
    assert metric["difference"] == pytest.approx(metric["after"] - metric["before"])
    assert metric["low"] <= metric["difference"] <= metric["high"]
    assert len(found["hits"]["most"]) == 2
    assert all("p7" in one["before"] and "p8" in one["after"] for one in found["hits"]["most"])


def test_diff_as_a_page(kindred: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "diff.html"
    assert kindred("diff", "1", "2", "--html", str(path)).endswith(f"wrote {path}\n")
    page = path.read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == page.count("<img ") > 20
    assert "<script" not in page
    assert "://" not in page  # nothing is loaded from anywhere
    assert "for uncle no. 2" in page
    assert "distill.rank" in page


@pytest.mark.parametrize("pair", [("1", "champion"), ("2", "2")])
def test_a_version_and_itself(kindred: Callable[..., str], pair: tuple[str, str]) -> None:
    assert "the same version" in kindred("diff", *pair)
    assert json.loads(kindred("diff", *pair, "--json"))["same"] is True


def test_diff_of_what_is_not_there(kindred: Callable[..., str], tmp_path: Path) -> None:
    assert "got version '9'" in kindred("diff", "1", "9", code=2)
    (tmp_path / "file").touch()
    page = tmp_path / "file" / "x.html"
    *steps, fault = kindred("diff", "1", "2", "--html", str(page), code=1).splitlines()
    assert fault.startswith("kindred diff: ")
    assert all(step.startswith("  ") for step in steps)


def test_without_vectors_the_rest_is_still_told(
    kindred: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Bundle, device: str = "cpu") -> None:
        msg = "the model does not load"
        raise ValueError(msg)

    monkeypatch.setattr(Bundle, "load_encoder", lost)
    said = " ".join(kindred("diff", "1", "2").split())
    assert "metrics and slices: version 1: the model does not load" in said
    assert "hits: the model does not load" in said
    assert "1 added, 1 removed" in said
