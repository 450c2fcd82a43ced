"""What a revision keeps of the version that was trained, and what its new catalogue changes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from registry.bundle import open_bundle
from registry.comparison import compare, from_bundle
from registry.revision import compare_catalogues
from tests.registry.revised import NEW, write_revised


@pytest.fixture
def trained(bundle_folder):
    return open_bundle(bundle_folder)


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*") if p.is_file()}  # fmt: skip


def test_models_and_numbers_are_those_that_were_trained(trained, tmp_path):
    digest = write_revised(tmp_path / "new", trained, without=["p5"])
    revised = open_bundle(tmp_path / "new")
    assert revised.digest == digest != trained.digest
    before, after = files_of(trained.folder), files_of(revised.folder)
    assert before.keys() == after.keys()
    other = {name for name in before if before[name] != after[name]}
    assert other == {
        "products.parquet", "queries.parquet", "lineage.json", "MODEL_CARD.md", "SHA256SUMS",
        "vectors/student.parquet", "vectors/base.parquet", "vectors/queries.parquet",
        "vectors/captions.parquet",
    }  # fmt: skip
    assert revised.lineage.revision.of_sha256 == trained.digest
    assert "Revision of version 1: 1 products were added" in after["MODEL_CARD.md"].decode()
    assert "(3 train, 3 val, 1 test, 0 base, 1 added)" in after["MODEL_CARD.md"].decode()


def test_what_is_new_is_in_no_split_that_was_measured(trained, tmp_path):
    other = [replace(p, image_sha256="o" * 64) for p in trained.read_products(["p2"])]
    write_revised(tmp_path / "new", trained, without=["p2"], new=[NEW, *other])
    revised = open_bundle(tmp_path / "new")
    splits = {p.product_id: p.split for p in revised.read_products()}
    assert (splits["n1"], splits["p2"], splits["p5"]) == ("added", "added", "test")
    assert revised.read_vectors("base").ids == [p.product_id for p in revised.read_products()]


def test_queries_whose_winner_is_gone_go_and_captions_follow(trained, tmp_path):
    assert [query.winner for query in trained.read_queries()] == ["p5", "p2"]
    write_revised(tmp_path / "new", trained, without=["p5"])
    revised = open_bundle(tmp_path / "new")
    assert [query.winner for query in revised.read_queries()] == ["p2"]
    assert revised.read_text_vectors("queries").ids == ["u7"]
    assert revised.read_text_vectors("captions").ids == ["p2"]


def test_choices_that_are_gone_are_left_out_and_the_wish_stays(trained, tmp_path):
    assert {wish.chosen for wish in trained.read_wishes()} == {("p7", "p1")}
    write_revised(tmp_path / "new", trained, without=["p7", "p1"])
    revised = open_bundle(tmp_path / "new")
    assert [wish.chosen for wish in revised.read_wishes()] == [(), ()]
    wishes = revised.read_text_vectors("wishes")
    assert wishes.ids == [wish.persona_id for wish in trained.read_wishes()]


def test_another_caption_has_another_vector(trained, tmp_path):
    said = [0, 0, 0, 0, 0, 0, 0, 1]
    write_revised(tmp_path / "new", trained, captions={"p2": said})
    captions = open_bundle(tmp_path / "new").read_text_vectors("captions")
    assert captions.rows(["p2"])[0].tolist() == said
    before = trained.read_text_vectors("captions")
    assert_array_equal(captions.rows(["p5"]), before.rows(["p5"]))


def test_equal_catalogues_are_one_version(trained, tmp_path):
    """However often it was made; and the first catalogue again is the first version."""
    first = write_revised(tmp_path / "one", trained)
    assert write_revised(tmp_path / "two", trained) == first
    assert write_revised(tmp_path / "back", trained, new=()) == trained.digest


def test_a_product_without_a_vector_is_refused_and_leaves_nothing(trained, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "old").touch()
    with pytest.raises(ValueError, match="not finite or not of length 1"):
        write_revised(tmp_path / "new", trained, captions={"p2": [np.nan] * 8})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["old"]


def test_differences_by_id_picture_and_what_is_said(trained):
    before = trained.read_products()
    again = [replace(p, split="added") for p in reversed(before)]
    assert compare_catalogues(before, again).is_empty  # p0's price is unknown in both
    after = [
        *before[:4],
        replace(before[4], image_sha256="x"),
        replace(before[5], price=1.0),
        replace(before[6], attributes={"kind": "mug"}),
        NEW,
    ]
    found = compare_catalogues(before, after)
    assert (found.added, found.removed) == (("n1",), ("p7",))
    assert (found.changed, found.repictured) == (("p4", "p5", "p6"), ("p4",))
    assert found.summary() == "1 added, 3 changed, 1 removed"


def test_a_champion_that_is_a_revision_is_compared_as_its_trained_version(trained, tmp_path):
    """With what was removed from it too: its models saw that, and need not see a thumbnail."""
    write_revised(tmp_path / "new", trained, without=["p5"])
    candidate = from_bundle(trained)
    plain = compare(candidate, trained, 1)
    revised = compare(candidate, open_bundle(tmp_path / "new"), 2, trained)
    for metric, values in plain.reference.personas.items():
        assert_array_equal(revised.reference.personas[metric], values)


def test_a_revision_without_a_held_out_product_has_no_queries(trained, tmp_path):
    write_revised(tmp_path / "new", trained, without=["p2", "p5"])
    revised = open_bundle(tmp_path / "new")
    assert revised.read_queries() == []
    assert revised.read_text_vectors("queries").vectors.shape == (0, 8)
    assert revised.read_text_vectors("captions").ids == []
