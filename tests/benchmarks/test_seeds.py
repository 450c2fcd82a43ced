"""The headline table over seeds: what is kept, what runs again, and that the README has it."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks import seeds

README = Path(__file__).parents[2] / "README.md"
CONCEPTS = README.parent / "docs/concepts.md"
KEPT = README.parent / seeds.RESULTS


def metrics(percentile=0.9, **changes):
    model = {"mean_percentile": percentile, "within_kind_percentile": 0.5, "recall@10": 0.25,
             "ndcg@10": 0.125, "tau": 0.5}  # fmt: skip
    unseen = {
        key: {"base": 0.5, "student": 0.75, "gain": 0.25, "ci95": [-0.1, 0.3], "n": n}
        for key, n in (("seen", 30), ("unseen", 10))
    }
    concept = {
        "concept_only": {"map": 0.5, "ci95": {"map": [0.4, 0.625]}},
        "context": {"mrr": 0.5, "ci95": {"mrr": [0.25, 0.75]}},
        "multi": {"mrr": 0.156, "ci95": {"mrr": None}},
    }
    interest = {
        "tea": {"gain": -0.0511, "ci95": [-0.0902, -0.01]},
        "golf": {"gain": -0.05, "ci95": [-0.2, 0.1]},
        "opera": {"gain": -0.2, "ci95": None},
    }
    return {
        "persona": dict.fromkeys(seeds.MODELS, model),
        "persona_paraphrased": {"student": model},
        "comparison": {"gain": 0.125, "gap_closed": 0.75, "ci95": [0.0, 0.2]},
        "caption": {key: {"recall@1": 0.975} for key in ("base", "student")},
        "concept": {
            **dict.fromkeys(("text_only", "kindred"), concept),
            "caption_recall@10": {"unmodified": 1.0, "adapted": 0.99},
        },
        "slices": {"interests": unseen, "kinds": unseen, "price": {}, "interest": interest},
        **changes,
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters, and the seeds that ran in it."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"seed": 0, "cycles": {}}), "utf-8")
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = []

    def run(params):
        ran.append(params["seed"])
        return metrics(params["seed"] / 10)

    monkeypatch.setattr(seeds, "run", run)
    return ran


def test_median_and_range_by_hand():
    runs = [metrics(0.9), metrics(0.7), metrics(0.75)]
    assert "| **student, distilled** | 75.0 (70.0 to 90.0) | 50.0 (50.0 to 50.0) |" in (
        seeds.table(runs)
    )
    assert "| gap to the ceiling that it closes, % | 75.0 (75.0 to 75.0) |" in seeds.table(runs)
    assert "distillation never saw, % | 25.0 (25.0 to 25.0) |" in seeds.table(runs)
    assert "mRR: class nouns only | 0.16 (0.16 to 0.16) |" in seeds.table(runs)


def test_a_known_seed_is_not_run_again_and_others_stay(project):
    seeds.measure(3)
    seeds.measure(5)
    seeds.measure(3)
    assert project == [3, 5]
    assert sorted(json.loads(seeds.RESULTS.read_text("utf-8"))) == ["3", "5"]


def test_other_parameters_run_a_seed_again(project):
    seeds.measure(3)
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 0, "cycles": {"c1": "c0"}}), "utf-8")
    seeds.measure(3)
    assert project == [3, 3]


def test_most_slices_are_not_kept(project):
    assert set(seeds.measure(1)["metrics"]["slices"]) == {"interests", "kinds", "interest"}


def test_each_seed_has_its_own_intervals():
    rows = seeds.sure_table({3: {"metrics": metrics()}}).splitlines()
    assert len(rows) == 3
    assert rows[-1] == (
        "| 3 | +12.5 (+0.0 to +20.0) | +25.0 (-10.0 to +30.0) | +25.0 (-10.0 to +30.0)"
        " | 0.50 (0.40 to 0.62) | 0.50 (0.25 to 0.75) | 0.16 (no interval) |"
    )


def test_the_table_of_concepts_by_hand():
    rows = seeds.concept_table([metrics()]).splitlines()
    assert rows[2:] == [
        "| concept-only mAP | 0.50 (0.50 to 0.50) | 0.50 (0.50 to 0.50) |",
        "| context mRR | 0.50 (0.50 to 0.50) | 0.50 (0.50 to 0.50) |",
        "| two concepts, mRR | 0.16 (0.16 to 0.16) | 0.16 (0.16 to 0.16) |",
        "| caption recall@10, without and with a concept on | 1.000 (1.000 to 1.000)"
        " | 0.990 (0.990 to 0.990) |",
    ]


def test_interests_whose_whole_interval_is_below_zero_are_named_seed_by_seed():
    good = metrics(slices={"interest": {"tea": {"gain": 0.1, "ci95": [0.0, 0.2]}}})
    assert seeds.bad_news({4: {"metrics": good}, 3: {"metrics": metrics()}}) == [
        "- seed 3: tea (-5.1; -9.0 to -1.0)",
        "- seed 4: none",
    ]


def test_without_results_there_is_no_table(project, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["seeds", "--table"])
    with pytest.raises(SystemExit) as stopped:
        seeds.main()
    assert stopped.value.code == 2
    assert "seeds.json" in capsys.readouterr().err


def test_readme_and_documents_have_the_tables_of_the_kept_results():
    kept = {int(seed): result for seed, result in json.loads(KEPT.read_text("utf-8")).items()}
    assert len(kept) >= 5
    runs = [result["metrics"] for result in kept.values()]
    rows = [*seeds.table(runs).splitlines(), *seeds.sure_table(kept).splitlines()]
    rows += seeds.bad_news(kept)
    assert [row for row in rows if row not in README.read_text("utf-8")] == []
    document = CONCEPTS.read_text("utf-8")
    assert [row for row in seeds.concept_table(runs).splitlines() if row not in document] == []
