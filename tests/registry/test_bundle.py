import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from registry.bundle import PRODUCTS, QUERIES, HeldOutQuery, bundle_digest, open_bundle
from registry.bundle_writer import BundleSources, write_bundle
from registry.checksums import write_sums
from registry.git_state import GitState
from registry.wishes import Wish
from retrieval.concepts.teaching import Teaching
from retrieval.storage.schema import read_table, write_table
from retrieval.storage.vectors import read_vectors, write_vectors


def test_holds_everything_and_opens(bundle_folder: Path) -> None:
    files = {p.relative_to(bundle_folder).as_posix() for p in bundle_folder.rglob("*.*")}
    assert {"vectors/student.parquet", "vectors/base.parquet", "verdicts/labels_c1.json"} <= files
    bundle = open_bundle(bundle_folder)
    assert bundle.concept_names == ("rex",)
    assert bundle.metrics["persona"]["student"]["mean_percentile"] == 0.95
    assert {name: v.passed for name, v in bundle.verdicts.items()} == {
        "labels_c1": True,
        "retrieval": True,
    }
    assert bundle.lineage.runs == {"base": "run-1"}
    assert bundle.digest == bundle_digest(bundle_folder)
    assert bundle.read_vectors("base").vectors.shape == (8, 8)


def test_products_carry_thumbnails_and_no_paths(bundle_folder: Path) -> None:
    assert "image" not in read_table(bundle_folder / "products.parquet", PRODUCTS).schema.names
    products = open_bundle(bundle_folder).read_products(["p2", "p1"])
    assert [p.product_id for p in products] == ["p1", "p2"]
    assert products[0].attributes == {"kind": "mug", "colour": "blue"}
    picture = Image.open(io.BytesIO(products[0].thumbnail))
    assert (picture.format, picture.size) == ("JPEG", (16, 8))


@pytest.mark.parametrize(
    ("mode", "size", "kept"),
    [("RGB", (16, 8), True), ("RGB", (32, 16), False), ("L", (16, 8), False)],
)
def test_a_small_jpeg_is_its_own_thumbnail(
    tmp_path: Path, sources: BundleSources, mode: str, size: tuple[int, int], kept: bool
) -> None:
    drawn = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(drawn, "JPEG", quality=95)
    (sources.products.parent / "images/p1.png").write_bytes(drawn.getvalue())
    write_bundle(tmp_path / "bundle", sources)
    (product,) = open_bundle(tmp_path / "bundle").read_products(["p1"])
    assert (product.thumbnail == drawn.getvalue()) is kept
    picture = Image.open(io.BytesIO(product.thumbnail))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (16, 8))


def test_held_out_queries_are_those_of_split_test(bundle_folder: Path) -> None:
    queries = open_bundle(bundle_folder).read_queries()
    assert queries == [
        HeldOutQuery("u4", "for uncle no. 5", "p5", {}, {"relation": "uncle"}),
        HeldOutQuery("u7", "for uncle no. 2", "p2", {}, {"relation": "uncle"}),
    ]


def test_how_concepts_were_found_is_kept_and_may_be_missing(bundle_folder: Path) -> None:
    rows = open_bundle(bundle_folder).read_concept_queries()
    assert len(rows) == 12 * 5
    assert rows[0]["row_id"] == "s0-only"
    (bundle_folder / "concept_queries.parquet").unlink()  # as in bundles before it was kept
    write_sums(bundle_folder)
    assert open_bundle(bundle_folder).read_concept_queries() == []


def test_vectors_of_texts_are_those_of_the_held_out(bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    queries, captions = bundle.read_text_vectors("queries"), bundle.read_text_vectors("captions")
    assert queries is not None
    assert captions is not None
    assert queries.ids == ["u4", "u7"]
    assert queries.vectors.argmax(axis=1).tolist() == [5, 2]
    assert captions.ids == ["p2", "p5"]
    assert captions.vectors.argmax(axis=1).tolist() == [2, 5]


def test_a_text_without_a_vector_is_refused(sources, tmp_path: Path) -> None:
    write_vectors(sources.persona_vectors, ["u4"], np.eye(1, 8, dtype=np.float32))
    with pytest.raises(ValueError, match=r"texts\.parquet: got no vector of 'u7'"):
        write_bundle(tmp_path / "bundle", sources)


def test_a_bundle_of_format_2_opens_without_wants_and_slices(bundle_folder: Path) -> None:
    """Its champion can be compared with: a candidate brings the queries."""
    path = bundle_folder / "queries.parquet"
    write_table(path, read_table(path, QUERIES).select(["persona_id", "text", "winner"]))
    (bundle_folder / "format_version").write_text("2\n")
    write_sums(bundle_folder)
    assert open_bundle(bundle_folder).read_queries()[0] == HeldOutQuery(
        "u4", "for uncle no. 5", "p5", {}, {}
    )


def test_a_bundle_says_how_its_concepts_are_taught(bundle_folder: Path) -> None:
    assert open_bundle(bundle_folder).read_teaching().identifier == "zzq"


def test_concepts_of_a_bundle_before_format_5_are_taught_the_usual_way(bundle_folder: Path) -> None:
    (bundle_folder / "teaching.json").unlink()
    (bundle_folder / "format_version").write_text("4\n")
    write_sums(bundle_folder)
    assert open_bundle(bundle_folder).read_teaching() == Teaching()


def test_a_bundle_holds_the_wishes_that_have_a_label(bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    assert bundle.read_wishes() == [
        Wish("u6", "for uncle no. 3", ("p7", "p1")),
        Wish("u9", "for uncle no. 0", ("p7", "p1")),
    ]
    vectors = bundle.read_text_vectors("wishes")
    assert vectors is not None
    assert vectors.ids == ["u6", "u9"]
    assert vectors.vectors.argmax(axis=1).tolist() == [3, 0]


def test_a_bundle_before_format_5_has_no_wishes(bundle_folder: Path) -> None:
    for name in ("wishes.parquet", "vectors/wishes.parquet"):
        (bundle_folder / name).unlink()
    (bundle_folder / "format_version").write_text("4\n")
    write_sums(bundle_folder)
    bundle = open_bundle(bundle_folder)
    assert bundle.read_wishes() == []
    assert bundle.read_text_vectors("wishes") is None


def test_sha256sum_agrees(bundle_folder: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=bundle_folder, check=False
    )
    assert done.returncode == 0


def test_a_moved_bundle_opens(bundle_folder: Path, tmp_path: Path) -> None:
    digest = open_bundle(bundle_folder).digest
    assert open_bundle(bundle_folder.rename(tmp_path / "elsewhere")).digest == digest


def _flip(folder: Path) -> None:
    path = folder / "model" / "weights"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]))


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (_flip, "model/weights: got .* expected"),
        (lambda f: (f / "vectors" / "base.parquet").unlink(), "base.parquet: got no such file"),
        (lambda f: (f / "model" / "extra").write_text("x"), "extra: got .* expected no file"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS: got no such file"),
        (lambda f: (f / "SHA256SUMS").write_text("nonsense\n"), "SHA256SUMS: got line"),
        (lambda f: (f / "format_version").write_text("9\n"), "got 9, expected format 6"),
        (lambda f: (f / "format_version").unlink(), "format_version: got no such file"),
    ],
    ids=["changed", "missing", "extra", "no sums", "bad sums", "newer", "no version"],
)
def test_tampering_is_named(bundle_folder: Path, tamper, named: str) -> None:
    tamper(bundle_folder)
    with pytest.raises(ValueError, match=named):
        open_bundle(bundle_folder)


def test_mlflow_leaves_a_file_of_its_own(bundle_folder: Path) -> None:
    digest = bundle_digest(bundle_folder)
    (bundle_folder / "registered_model_meta").write_text("model_name: kindred")
    assert open_bundle(bundle_folder).digest == digest


def test_digest_is_of_the_content_alone(bundle_folder: Path, changed) -> None:
    digest = bundle_digest(bundle_folder)
    git = GitState(commit="another", clean=False, note="changes")
    again = changed(runs={"base": "run-2"}, parent=7, git=git, packages={})
    assert (again / "MODEL_CARD.md").read_text() != (bundle_folder / "MODEL_CARD.md").read_text()
    assert bundle_digest(again) == digest
    assert bundle_digest(changed(teacher={"kind": "file"})) != digest
    assert bundle_digest(changed(weights="v")) != digest


def test_vectors_of_other_products_are_refused(sources, tmp_path: Path) -> None:
    kept = read_vectors(sources.base_vectors)
    write_vectors(sources.base_vectors, kept.ids[:-1], kept.vectors[:-1])
    with pytest.raises(ValueError, match=r"base.parquet: got vectors of 7 .* each of the 8.*p7"):
        write_bundle(tmp_path / "bundle", sources)
    assert not (tmp_path / "bundle").exists()


def test_no_concepts_is_no_fault(sources, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", replace(sources, concepts=tmp_path / "none"))
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.concept_names == ()
    with pytest.raises(ValueError, match=r"got concept 'rex', expected one of .*none"):
        bundle.load_concept("rex", None)  # type: ignore[arg-type]


def test_the_card_says_what_it_is(bundle_folder: Path) -> None:
    card = (bundle_folder / "MODEL_CARD.md").read_text()
    for said in ("95.0 %", "82.0 %", "**simulated** teacher", "c0ffee", "8 products", "## Limits",
                 "2 training personas have a label", "word for word"):  # fmt: skip
        assert said in card


@pytest.mark.parametrize(
    ("tower", "said"), [("tf_efficientnet_lite0_detail", True), ("tf_efficientnet_lite0", False)]
)
def test_the_card_says_where_open_clip_alone_does_not_load_the_model(
    sources, tmp_path: Path, tower, said
) -> None:
    config = {"model_cfg": {"vision_cfg": {"timm_model_name": tower}}}
    for folder in (sources.model, sources.base_model):
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_bundle(tmp_path / "bundle", sources)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert ("open_clip alone does not load" in card) == said


CLIP = {"context_length": 77, "vocab_size": 49408}
MINILM = {"context_length": 64, "hf_model_name": ".", "hf_tokenizer_name": "."}


@pytest.mark.parametrize(("text", "own_place"), [(CLIP, False), (MINILM, True)])
def test_the_card_has_lines_for_every_tool(sources, tmp_path: Path, text, own_place) -> None:
    config = {"model_cfg": {"vision_cfg": {"timm_model_name": "resnet10t"}, "text_cfg": text}}
    for folder in (sources.model, sources.base_model):
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_bundle(tmp_path / "bundle", sources)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    codes = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
    assert len(codes) == 3
    for code in codes:
        compile(code, "card", "exec")
    assert ('"hf_model_name": "model"' in card) == own_place
    assert "models:/kindred@champion" in card
    assert '"concept": ["rex"]' in card
    assert "bentoml serve kindred:latest" in card
    assert "/v1/search" in card
