"""What `distill.recipe: published` stands for, and how to run it."""

import re
import subprocess
from pathlib import Path

import yaml

from pipelines.run.params import Params, load_params
from pipelines.run.recipe import MOST_CYCLES, resolve_recipe

ROOT = Path(__file__).parents[3]


def _params(**changes) -> Params:
    """params.yaml with a few changes, by section."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    changed = {section: content[section] | values for section, values in changes.items()}
    return Params.model_validate(content | changed)


def test_the_published_recipe_is_the_papers():
    """Whatever the keys say that the paper fixes."""
    published = resolve_recipe(
        _params(
            distill={"recipe": "published", "train": "head", "temperature": 50.0, "patience": 2},
            label={"groups": 20, "band_edges": [], "band_sizes": [12], "candidates": 10},
            tournaments={"group_size": 5, "repeats": 3},
        )
    )
    label, distill = published.label, published.distill
    assert (published.tournaments.group_size, published.tournaments.repeats) == (2, 1)
    assert (label.groups, label.candidates) == (1050, 1)
    assert (label.band_edges, label.band_sizes) == ((0.7, 0.9, 0.95), (1, 1, 1, 2))
    assert (distill.train, distill.labels, distill.epochs) == ("whole", "own", 1)
    assert (distill.mirror, distill.caption_views, distill.blends) == (False, 0.0, (1.0,))
    assert (distill.loss, distill.temperature) == ("bradley-terry-sum", 1.0)
    assert distill.retention_weight == 0.0
    assert (distill.schedule, distill.learning_rate, distill.grad_clip) == ("decay", 1e-6, 1.0)
    assert (distill.patience, MOST_CYCLES) == (5, 30)


def test_what_the_paper_does_not_fix_stays():
    changes = {
        "distill": {"recipe": "published", "batch_groups": 7, "accumulate": 3},
        "label": {"audit_fraction": 0.3, "pair_fraction": 0.2},
        "tournaments": {"max_calls_per_match": 4, "max_val_personas": 9},
        "teacher": {"max_calls": 5},
    }
    published = resolve_recipe(_params(**changes)).model_dump()
    for section, values in changes.items():
        assert {key: published[section][key] for key in values} == values


def test_the_default_recipe_is_what_the_file_says():
    settings = _params(distill={"recipe": "default", "temperature": 50.0, "train": "whole"})
    assert resolve_recipe(settings) == settings


def test_the_command_in_the_documentation_makes_thirty_cycles_of_it(tmp_path):
    documentation = (ROOT / "docs/distillation.md").read_text(encoding="utf-8")
    [command] = re.findall(r"```sh\n(awk .*?)```", documentation, flags=re.DOTALL)
    before = ROOT / "params.yaml"
    after = tmp_path / "params.yaml"
    after.write_bytes(before.read_bytes())
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    found = load_params(after)
    assert list(found.cycles) == [f"c{number}" for number in range(1, MOST_CYCLES + 1)]
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (before, after)]
    for content in contents:
        del content["cycles"]
    assert contents[0]["distill"]["recipe"] == "default"
    contents[0]["distill"]["recipe"] = "published"
    assert contents[1] == contents[0]
