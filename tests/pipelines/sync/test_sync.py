"""`kindred catalog sync` on a tiny shop: a real MLflow and Milvus Lite, an encoder of colours."""

import json
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from pipelines.sync.run import LOCK, REJECTS
from registry.history import read_history
from registry.promotion import rollback
from registry.promotion_lock import LOCK as PROMOTION_LOCK
from registry.store import fetch_bundle
from registry.versions import find_champion, find_version, list_versions
from retrieval.index.store import LiteStore, collection_key
from services.cli import main
from tests.pipelines.sync.conftest import ColourEncoder, picture

SYNC = ["catalog", "sync", "shop"]


def champion():
    return find_champion("kindred")


def served():
    return {p.product_id: p for p in fetch_bundle(champion()).read_products()}


def changes():
    return [(c.action, c.before, c.after, c.outcome, c.reason) for c in read_history("kindred")]


def test_what_is_new_is_served_and_rolled_back(shop, capsys) -> None:
    shop.put("n1", seed=100, category="hat", price=3)
    shop.put("n2", seed=101)
    assert main(SYNC) == 0
    said = capsys.readouterr()
    assert "new: 2 (n1, n2)" in said.out
    assert "version 2 (revision 1 of 1) is the champion of kindred" in said.out
    assert "no teacher ranked the new products; what they lose" in said.out
    assert "the next `dvc repro` does not include these products: it reads the studio" in said.out
    assert "2 pictures are read" in said.err
    version = champion()
    assert (version.number, version.revision, version.revision_of) == (2, 1, 1)
    assert "challenger" in find_version("kindred", "1").aliases
    found = served()
    assert (found["n1"].category, found["n1"].price, found["n1"].split) == ("hat", 3.0, "added")
    assert (found["n2"].caption, found["p2"].split) == ("Thing n2", "test")
    assert found["n1"].thumbnail[:2] == b"\xff\xd8"
    assert changes()[1] == ("sync", 1, 2, "done", "2 added, 0 changed, 0 removed")
    key = collection_key(version.digest, "base")
    collection = LiteStore(Path("var/milvus")).open(key, Path("private"))
    assert collection.count() == 10
    collection.close()
    bundle = fetch_bundle(version)
    student, base = (bundle.read_vectors(model).rows(["n1"]) for model in ("student", "base"))
    assert not np.allclose(student, base)
    assert rollback("kindred").version.number == 1
    assert champion().label == "1"


def test_only_pictures_that_are_new_are_embedded_or_looked_at(shop, monkeypatch) -> None:
    shop.put("n1", seed=100)
    main(SYNC)
    assert len(ColourEncoder.read) == 2  # by both models
    looked = []
    monkeypatch.setattr("pipelines.sync.seen.open_picture", lambda path, _: looked.append(path))
    shop.put("n1", title="Another title")
    assert main(SYNC) == 0
    assert served()["n1"].title == "Another title"
    assert (len(ColourEncoder.read), looked) == (2, [])


def test_a_changed_picture_is_another_one_whatever_its_times(shop, capsys) -> None:
    import os

    shop.put("n1", seed=100)
    main(SYNC)
    before = fetch_bundle(champion())
    shot = shop.path / "p2.jpg"
    times = shot.stat()
    picture(200).save(shot)
    os.utime(shot, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert main(SYNC) == 0
    assert "changed: 1 (p2)" in capsys.readouterr().out
    after = fetch_bundle(champion())
    assert served()["p2"].split == "added"
    assert [query.winner for query in after.read_queries()] == ["p5"]
    for ids, same in ((["p2"], False), (["p1", "n1"], True)):
        old, new = before.read_vectors("base").rows(ids), after.read_vectors("base").rows(ids)
        assert np.array_equal(old, new) is same


def test_what_is_gone_goes_and_comes_back_as_it_was(shop, capsys) -> None:
    """The query that wanted it goes with it, and comes back with it: the very same version."""
    row = shop.rows["p5"]
    shop.remove("p5")
    assert main(SYNC) == 0
    assert "removed: 1 (p5)" in capsys.readouterr().out
    bundle = fetch_bundle(champion())
    assert [query.winner for query in bundle.read_queries()] == ["p2"]
    assert "p5" not in served()
    last = {id_: shop.rows.pop(id_) for id_ in ("p6", "p7")}
    shop.rows |= {"p5": row, **last}
    shop.write()
    assert main(SYNC) == 0
    assert (champion().number, ColourEncoder.read) == (1, [])
    moves = [("promote", None, 1), ("sync", 1, 2), ("sync", 2, 1)]
    assert [change[:3] for change in changes()] == moves
    assert rollback("kindred").version.number == 2


def test_a_dry_run_changes_nothing(shop, capsys) -> None:
    shop.put("n1", seed=100)
    shop.remove("p3")
    assert main([*SYNC, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "new: 1 (n1)" in out
    assert "removed: 1 (p3)" in out
    assert "version 1 would get a revision; nothing changed" in out
    assert (champion().number, len(list_versions("kindred")), len(changes())) == (1, 1, 1)
    assert ColourEncoder.read == []


def test_nothing_to_do_is_said(shop, capsys) -> None:
    assert main(SYNC) == 0
    assert "version 1 serves these products already; nothing changed" in capsys.readouterr().out
    assert len(changes()) == 1


def test_captions_that_a_model_wrote_stay(shop) -> None:
    for row in shop.rows.values():
        row["caption"] = ""
    shop.write()
    assert main(SYNC) == 0
    assert len(changes()) == 1  # nothing changed
    assert served()["p2"].caption == "a blue mug"


def test_another_caption_of_a_held_out_product_is_read(shop) -> None:
    shop.put("p2", caption="a green mug!")
    shop.put("p1", caption="a green mug!")
    assert main(SYNC) == 0
    captions = fetch_bundle(champion()).read_text_vectors("captions")
    assert captions.ids == ["p2", "p5"]
    assert captions.rows(["p2"])[0].argmax() == len("a green mug!") % 8
    assert ColourEncoder.read == []


def test_rejects_are_listed_and_limited(shop, capsys) -> None:
    (shop.path / "p4.jpg").write_bytes(b"no picture")
    assert main(SYNC) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("kindred catalog sync: products.csv: 1 of 8 rows rejected")
    assert str(REJECTS) in error
    assert "'p4.jpg' is not a picture" in REJECTS.read_text()
    params = Path("params.yaml").read_text().replace("fraction: 0.02", "fraction: 0.5")
    Path("params.yaml").write_text(params)
    assert main(SYNC) == 0
    said = capsys.readouterr().out
    assert f"rejected: 1 rows, listed in {REJECTS}; 1 of these products are served today" in said
    assert "p4" not in served()


def test_the_wrong_folder_is_noticed(shop, capsys) -> None:
    for number in range(1, 6):
        shop.remove(f"p{number}")
    assert main(SYNC) == 1
    assert "5 of the 8 products that are served are not in the folder's table" in (
        capsys.readouterr().err
    )
    assert champion().number == 1
    assert main([*SYNC, "--shrink"]) == 0
    assert served().keys() == {"p0", "p6", "p7"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["catalog", "sync", "nowhere"], "which is no folder; name one that exists"),
        (["catalog", "sync", "."], "got none; expected exactly one of products.csv"),
        (["catalog", "sync"], "Missing argument 'FOLDER'"),
        (["catalog", "sink"], "kindred catalog: got 'sink', expected one of sync"),
        ([*SYNC, "--name", "other"], "no version of other is registered"),
    ],
)
def test_wrong_usage_is_one_line(shop, capsys, arguments, said) -> None:
    assert main(arguments) == (1 if "--name" in arguments else 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("lock", [LOCK, PROMOTION_LOCK])
def test_of_two_at_once_one_says_so(shop, capsys, lock) -> None:
    shop.put("n1", seed=100)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        assert main(SYNC) == 3
    assert "kindred history" in capsys.readouterr().err
    assert champion().number == 1
    assert main(SYNC) == 0


def test_a_version_without_its_base_model_is_refused_with_the_remedy(shop, capsys, monkeypatch):
    monkeypatch.setattr("registry.bundle.Bundle.has_base_model", False)
    assert main(SYNC) == 1
    assert "run `dvc repro`, then `kindred promote`" in capsys.readouterr().err


def test_status_history_and_card_tell_of_the_revision(shop, capsys) -> None:
    shop.put("n1", seed=100)
    main(SYNC)
    capsys.readouterr()
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert "2 (revision 1 of 1)" in out
    assert "A revision has the models" in out
    assert main(["status", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["versions"][0]
    assert (first["revision"], first["revision_of"]) == (1, 1)
    assert main(["history"]) == 0
    out = capsys.readouterr().out
    assert "1 added, 0 changed, 0 removed" in out
    assert "`kindred rollback` goes to version 1" in out


def test_the_folder_of_the_pipeline_is_known(shop, capsys) -> None:
    text = Path("params.yaml").read_text()
    text = text.replace("source: studio", "source: folder").replace(
        "folder: photos", "folder: shop"
    )
    Path("params.yaml").write_text(text)
    shop.put("n1", seed=100)
    assert main([*SYNC, "--dry-run"]) == 0
    assert "the next `dvc repro` includes these products" in capsys.readouterr().out
