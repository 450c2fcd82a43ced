"""What a line changes, and what the table says of its seeds."""

from pathlib import Path

import pytest
import yaml

from benchmarks import ablation
from pipelines.run.params import Params
from pipelines.run.recipe import resolve_recipe

ROOT = Path(__file__).parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
CALLS = PARAMS["label"]["groups"] * len(PARAMS["cycles"])


@pytest.mark.parametrize("line", [line for line in ablation.LINES if line != "published"])
@pytest.mark.parametrize("asked", [None, 2])
def test_a_line_has_valid_parameters_and_spends_the_same_calls(line, asked):
    changed = ablation.change(PARAMS, line, 7, asked)
    params = Params.model_validate(changed)
    assert params.seed == 7
    cycles = len(params.cycles)
    assert asked in (None, cycles)
    assert CALLS - cycles < params.label.groups * cycles <= CALLS
    pictures = 5 if line == "groups-of-five" else sum(PARAMS["label"]["band_sizes"])
    assert sum(params.label.band_sizes) == pictures


@pytest.mark.parametrize(("asked", "cycles"), [(None, 30), (4, 4)])
def test_the_published_line_has_the_recipes_groups_in_every_cycle(asked, cycles):
    changed = ablation.change(PARAMS, "published", 7, asked)
    params = resolve_recipe(Params.model_validate(changed))
    assert len(params.cycles) == cycles
    assert (params.label.groups, params.label.band_sizes) == (1050, (1, 1, 1, 2))
    assert (params.distill.labels, params.distill.mirror) == ("own", False)
    assert (params.label.audit_fraction, params.label.pair_fraction) == (0, 0)


def test_a_line_changes_only_its_factor():
    plain = ablation.change(PARAMS, "default", 0)
    for line, changes in ablation.LINES.items():
        changed = ablation.change(PARAMS, line, 0)
        different = {section for section in changed if changed[section] != plain[section]}
        expected = set(changes) | ({"label"} if "cycles" in changes else set())
        assert different <= expected, line


def test_there_are_few_lines_and_each_says_something_else():
    told = [str(changes) for changes in ablation.LINES.values()]
    assert len(set(told)) == len(told)


def _result(line, seed, percentile):
    return {
        "line": line, "seed": seed, "percentile": percentile, "base": 0.8,
        "caption_recall": 0.95, "validation": 0.97, "calls": 4000, "seconds": 61.4,
    }  # fmt: skip


def test_the_table_by_hand():
    # 90, 92 and 94 percent: mean 92, sample deviation 2.
    found = [_result("default", seed, value) for seed, value in enumerate((0.9, 0.92, 0.94))]
    rows = ablation.table([found, [_result("published", 0, 0.81)]]).splitlines()
    cells = ["`default`", "92.00 ± 2.00", "12.00 ± 2.00", "95.00 ± 0.00", "97.00 ± 0.00"]
    assert rows[2] == f"| {' | '.join(cells)} | 4,000 | 61 |"
    assert rows[3] == "| `published` | 81.00 | 1.00 | 95.00 | 97.00 | 4,000 | 61 |"


def test_a_result_that_a_kill_cut_off_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ablation.RESULTS.parent.mkdir(parents=True)
    ablation.RESULTS.write_text('{"digest": "a", "percentile": 0.9}\n{"digest": "b", "perc')
    assert ablation.known_results() == {"a": {"digest": "a", "percentile": 0.9}}


def test_a_missing_input_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(SystemExit, match="data/catalog is missing: run `dvc repro base"),
        ablation.borrowed_project(PARAMS),
    ):
        pytest.fail("it was entered")
    assert Path.cwd() == tmp_path
