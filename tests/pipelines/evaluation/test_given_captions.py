"""Captions that a file has of the held-out products."""

import json

import pytest

from pipelines.evaluation.captions import captions_of

PRODUCTS = [{"product_id": name, "caption": f"a {name}"} for name in ("mug", "box")]


def _file(tmp_path, **captions):
    file = tmp_path / "captions.jsonl"
    lines = [{"product_id": name, "caption": caption} for name, caption in captions.items()]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file


def test_the_file_s_captions_stand_in_for_the_products_own(tmp_path):
    assert captions_of(PRODUCTS, None) == ["a mug", "a box"]
    file = _file(tmp_path, box="A cardboard box.", mug="A blue mug.", hat="Not held out.")
    assert captions_of(PRODUCTS, file) == ["A blue mug.", "A cardboard box."]


def test_a_product_that_it_lacks_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"no caption for 1 of 2 held-out products \(box\)"):
        captions_of(PRODUCTS, _file(tmp_path, mug="A blue mug."))
