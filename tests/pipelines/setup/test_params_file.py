"""params.yaml gets other values, and keeps all else byte for byte."""

import pytest
import yaml

from pipelines.setup.params_file import change_values
from pipelines.setup.plan import Line

TEXT = """# The head.

seed: 0 # one
cycles: # in a row
  c1: c0 # first
  c2: c1 # second
  c3: c2 # third

catalog: # "quoted": here
  folder:   photos   # where
  split: {train: 0.80, val: 0.1, test: 0.10} # shares
  pretrained: null # or a name
"""


def test_comments_order_and_other_values_stay() -> None:
    changed = change_values(
        TEXT,
        [
            Line("catalog.split", {"train": 0.5, "val": 0.2, "test": 0.3}),
            Line("catalog.folder", "my photos: 2026 # new"),
            Line("catalog.pretrained", "imagenet"),
            Line("seed", 7),
        ],
    )
    assert changed == TEXT.replace(
        "{train: 0.80, val: 0.1, test: 0.10}", "{train: 0.5, val: 0.2, test: 0.3}"
    ).replace("seed: 0", "seed: 7").replace("null", "imagenet").replace(
        "photos   #", "'my photos: 2026 # new'   #"
    )


@pytest.mark.parametrize("last", ["c1", "c2", "c3"])
def test_the_last_cycles_go_with_their_lines(last: str) -> None:
    kept = {
        name: before
        for name, before in {"c1": "c0", "c2": "c1", "c3": "c2"}.items()
        if name <= last
    }
    changed = change_values(TEXT, [Line("cycles", kept)])
    gone = [line for line in TEXT.splitlines() if line not in changed.splitlines()]
    assert yaml.safe_load(changed)["cycles"] == kept
    assert len(gone) == 3 - len(kept)
    assert all(line.startswith("  c") for line in gone)


def test_a_block_is_replaced_whole() -> None:
    text = "split:\n  train: 0.8\n  val: 0.2 # rest\n\n# a seed\nseed: 1\nsizes:\n- 4\n- 2\n"
    lines = [Line("split", {"train": 0.5, "val": 0.5}), Line("sizes", [3, 1])]
    changed = change_values(text, lines)
    assert changed == (
        "split:\n    {train: 0.5, val: 0.5} # rest\n\n# a seed\nseed: 1\nsizes:\n  [3, 1]\n"
    )


def test_a_layout_that_cannot_be_edited_is_refused_with_the_keys() -> None:
    text = "shared: &one\n  a: 1\nother:\n  <<: *one\n"
    with pytest.raises(SystemExit, match=r"put these in by hand: other\.a"):
        change_values(text, [Line("other.a", 2)])
