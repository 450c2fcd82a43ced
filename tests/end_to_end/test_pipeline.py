"""The whole pipeline, small: what it leaves behind, and what running it again does."""

import json
import math
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipelines.studio.render import PICTURE_SIDE
from retrieval.resampling import FEWEST
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCT_SPLITS,
    PRODUCTS,
    QUERIES,
    RANKINGS,
    SUBJECTS,
    TOURNAMENTS,
    read_rows,
)

PERSONA_KEYS = {
    "mean_percentile", "ci95", "median_percentile", "within_kind_percentile", "recall@1",
    "recall@10", "ndcg@10", "tau", "n", "clusters",
}  # fmt: skip
COUNTED = {"ci95", "n", "subjects"}
COUNTS = ("/n", "/clusters", "/subjects")


@pytest.fixture(scope="module")
def metrics(tiny):
    return json.loads((tiny.folder / "metrics/evaluate.json").read_text())


def test_metrics_have_exactly_the_documented_keys(metrics):
    assert set(metrics) == {
        "persona", "persona_paraphrased", "comparison", "held_out_wishes", "slices", "caption",
        "concept",
    }  # fmt: skip
    assert set(metrics["persona"]) == {"random", "base", "text", "student", "ceiling"}
    assert set(metrics["held_out_wishes"]) == {"base", "student", "comparison"}
    assert metrics["held_out_wishes"]["student"]["n"] > 0
    assert set(metrics["persona_paraphrased"]) == {"base", "text", "student"}
    for row in (*metrics["persona"].values(), *metrics["persona_paraphrased"].values()):
        assert set(row) == PERSONA_KEYS
        assert row["clusters"] <= row["n"]
        assert (row["ci95"] is None) == (row["clusters"] < FEWEST)
        low, high = row["ci95"] or (0, 1)
        assert low <= row["mean_percentile"] <= high
    for values in metrics["slices"].values():
        for row in values.values():
            assert set(row) == {"n", "clusters", "base", "student", "gain", "ci95"}
    assert set(metrics["caption"]) == {"base", "student", "chance"}
    for row in metrics["caption"].values():
        assert set(row) == {"recall@1", "recall@10", "image_to_text"}
    assert set(metrics["concept"]) == {"text_only", "kindred", "caption_recall@10"}
    for name in ("text_only", "kindred"):
        concept = metrics["concept"][name]
        assert set(concept["concept_only"]) == {"map", "mrr", *COUNTED}
        assert set(concept["context"]) == {"map", "mrr", "recall@1", "recall@5", *COUNTED}
        assert set(concept["multi"]) == {"map", "mrr", "recall@1", "recall@5", *COUNTED}
        assert set(concept["context"]["ci95"].values()) == {None}  # of two subjects
    assert set(metrics["concept"]["caption_recall@10"]) == {
        "unmodified", "adapted", "adapted_ci95", "subjects"
    }  # fmt: skip


def test_metrics_are_shares_and_differences_of_shares(metrics):
    def walk(value, path=""):
        if isinstance(value, dict):
            return [leaf for key, part in value.items() for leaf in walk(part, f"{path}/{key}")]
        return [(path, leaf) for leaf in (value if isinstance(value, list) else [value])]

    found = [(path, leaf) for path, leaf in walk(metrics) if leaf is not None]
    found = [(path, leaf) for path, leaf in found if not path.endswith(COUNTS)]
    assert all(math.isfinite(leaf) for _, leaf in found)
    signed = re.compile(r"/comparison/|/slices/.*/(gain|ci95)$|/tau$")
    shares = [(path, leaf) for path, leaf in found if not signed.search(path)]
    assert [(path, leaf) for path, leaf in shares if not 0 <= leaf <= 1] == []
    gains = [(path, leaf) for path, leaf in found if path.endswith(("gain", "/tau"))]
    assert [(path, leaf) for path, leaf in gains if not -1 <= leaf <= 1] == []


def test_chance_and_ceiling_frame_the_models(metrics):
    persona = metrics["persona"]
    assert abs(persona["random"]["mean_percentile"] - 0.5) < 0.2
    assert persona["ceiling"]["mean_percentile"] > persona["base"]["mean_percentile"]
    assert metrics["caption"]["base"]["recall@10"] > 2 * metrics["caption"]["chance"]["recall@10"]


def test_no_content_stands_in_two_splits(tiny):
    for path, schema, column, names in (
        ("data/catalog/products.parquet", PRODUCTS, "image_sha256", set(PRODUCT_SPLITS)),
        ("data/personas.parquet", PERSONAS, "text", {"train", "val", "test"}),
    ):
        splits: dict[str, set[str]] = {}
        for row in read_rows(tiny.folder / path, schema):
            splits.setdefault(row[column], set()).add(row["split"])
        assert all(len(found) == 1 for found in splits.values())
        assert set().union(*splits.values()) == names


def test_teachers_never_see_held_out_rows_in_training(tiny):
    products = {
        row["product_id"]: row["split"]
        for row in read_rows(tiny.folder / "data/catalog/products.parquet", PRODUCTS)
    }
    personas = {
        row["persona_id"]: row["split"]
        for row in read_rows(tiny.folder / "data/personas.parquet", PERSONAS)
    }
    rankings = read_rows(tiny.folder / "data/labels/c2/rankings.parquet", RANKINGS)
    assert len(rankings) == 180  # cumulative: 90 groups a cycle
    for row in rankings:
        assert personas[row["persona_id"]] == "train"
        assert {products[product] for product in row["presented"]} == {"train"}
    for row in read_rows(tiny.folder / "data/tournaments.parquet", TOURNAMENTS):
        assert personas[row["persona_id"]] == products[row["winner"]] == row["split"] != "train"


def test_queries_table_agrees_with_the_metrics(tiny, metrics):
    rows = read_rows(tiny.folder / "reports/queries.parquet", QUERIES)
    headline = [row for row in rows if row["slices"].get("interests") != "unseen"]
    for wording, key in (("original", "persona"), ("paraphrased", "persona_paraphrased")):
        for model, summary in metrics[key].items():
            kept = [row for row in headline if (row["wording"], row["model"]) == (wording, model)]
            assert len(kept) == summary["n"]
            for column in ("percentile", "ndcg@10", "tau"):
                values = [row[column] for row in kept if not math.isnan(row[column])]
                mean = summary["mean_percentile" if column == "percentile" else column]
                assert mean == (pytest.approx(sum(values) / len(values)) if values else None)
    assert metrics["persona"]["student"]["tau"] is not None
    gain = metrics["slices"]["kinds"]["seen"]["gain"]
    assert -1 < gain < 1


def test_verdicts_passed_and_reports_are_there(tiny):
    for name in ("labels/c1", "labels/c2", "retrieval_verdict"):
        verdict = json.loads((tiny.folder / f"metrics/{name}.json").read_text())
        assert verdict["passed"], verdict["reasons"]
    for report in ("reports/labels/c1", "reports/labels/c2", "reports/retrieval"):
        assert (tiny.folder / report / "index.html").is_file()


def test_a_subject_has_references_gallery_and_queries(tiny):
    rows = read_rows(tiny.folder / "data/subjects.parquet", SUBJECTS)
    assert {row["role"] for row in rows} == {"reference", "gallery", "query"}
    for row in rows:
        if row["image"]:
            with Image.open(tiny.folder / "data" / row["image"]) as picture:
                assert picture.size == (PICTURE_SIDE, PICTURE_SIDE)
    names = {name for row in rows for name in row["concepts"]}
    assert {path.name for path in (tiny.folder / "models/concepts").iterdir()} == names


def test_again_with_nothing_changed_runs_nothing(tiny):
    """Nor after a word in the README of the folder for photos, which git brings."""
    with (tiny.folder / "photos/README.md").open("a") as readme:
        readme.write("A word more.\n")
    done = tiny.repro()
    assert "Data and pipelines are up to date" in done.stdout
    assert "Running stage" not in done.stdout


@pytest.mark.slow
def test_registering_again_makes_no_second_version(tiny):
    tiny.repro("--single-item", "--force", "register")
    status = json.loads(tiny.kindred("status", "--json").stdout)
    assert len(status["versions"]) == 1
    assert status["versions"][0]["aliases"] == ["challenger"]


def test_the_lineage_holds_every_dependency_of_the_run(tiny):
    """Of `register` itself DVC writes the record too late: its code is digested apart."""
    lineage = json.loads(tiny.kindred("lineage", "--json").stdout)
    lock = yaml.safe_load((tiny.folder / "dvc.lock").read_text())["stages"]
    register = {dep["path"] for dep in lock.pop("register")["deps"]}
    assert lineage["stages"].keys() == lock.keys()
    for name, stage in lock.items():
        assert lineage["stages"][name]["deps"] == {dep["path"]: dep["md5"] for dep in stage["deps"]}
    stages = lineage["stages"].values()
    known = {path for one in stages for path in (*one["deps"], *one["outs"])}
    known |= set(lineage["code"]["register"])
    for dep in map(Path, register):
        assert any(dep.is_relative_to(path) or Path(path).is_relative_to(dep) for path in known)


def test_the_lineage_counts_what_the_run_had(tiny):
    lineage = json.loads(tiny.kindred("lineage", "--json").stdout)
    data = lineage["data"]
    assert sum(data["products"].values()) == 260
    assert sum(data["personas"].values()) == 120
    assert data["rankings"] == {"c1": 90, "c2": 90}
    assert lineage["asked"]["label c1"]["calls"] > 90
    assert lineage["asked"]["tournaments"]["calls"] > 0
    assert lineage["unknown"] == []


def test_search_in_the_registered_bundle(tiny):
    sheet = tiny.folder / "hits.png"
    found = tiny.kindred(
        "search", "a red mug", "--offline", "-k", "5", "--json", "--grid", str(sheet)
    )
    hits = json.loads(found.stdout)["hits"]
    assert len(hits) == 5
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    with Image.open(sheet) as picture:
        assert min(picture.size) > 200
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 1000


@pytest.mark.slow
def test_search_with_a_concept(tiny):
    name = sorted(path.name for path in (tiny.folder / "models/concepts").iterdir())[0]
    plain = tiny.kindred("search", "on a sandy beach", "--offline", "--json")
    personal = tiny.kindred("search", "on a sandy beach", "--concept", name, "--offline", "--json")
    assert json.loads(plain.stdout)["hits"] != json.loads(personal.stdout)["hits"]
