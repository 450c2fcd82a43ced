import re
from pathlib import Path

import pytest
import yaml

from pipelines.run.params import PARAMS, Params, load_params

FILE = Path(__file__).parents[3] / PARAMS


def _content():
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture
def load(tmp_path):
    """Load the project's parameters with one value changed: `load("label.groups", 3)`."""

    def change(key, *value):
        content = _content()
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        if value:
            section[last] = value[0]
        else:
            del section[last]
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_params(tmp_path / "params.yaml")

    return change


def _leaves(content, prefix=""):
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.") if key != "cycles" else ()
        else:
            yield f"{prefix}{key}"


def test_the_projects_own_parameters_load_and_keep_their_values():
    params = load_params(FILE)
    assert params.model_dump(mode="json", by_alias=True) == _content()


@pytest.mark.parametrize("key", list(_leaves(_content())))
def test_every_parameter_must_be_there(load, key):
    with pytest.raises(SystemExit, match=rf"{re.escape(key)}: Field required"):
        load(key)


@pytest.mark.parametrize("section", ["", "compute.", "catalog.split.", "teacher."])
def test_an_unknown_key_is_named_with_what_was_got(load, section):
    with pytest.raises(SystemExit) as error:
        load(f"{section}sede", 17)
    message = str(error.value)
    assert "params.yaml:" in message
    assert f"{section}sede: " in message
    assert "not permitted" in message
    assert "(got 17)" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", "zero"),
        ("seed", 1.5),
        ("compute.device", "gpu"),
        ("compute.device", "cuda:"),
        ("compute.precision", "fp16"),
        ("compute.threads", 0),
        ("catalog.source", "web"),
        ("catalog.max_reject_fraction", 1.01),
        ("catalog.products", 99),
        ("base.batch_size", 1),
        ("base.epochs", "many"),
        ("base.learning_rate", 0),
        ("base.learning_rate", float("inf")),
        ("base.pretrained", 3),
        ("base.finetune_stages", 3),
        ("teacher.kind", "oracle"),
        ("teacher.simulated.noise", 0),  # never without noise
        ("teacher.simulated.malformed_rate", -0.1),
        ("tournaments.max_calls_per_match", 1),
        ("label.groups", 0),
        ("label.band_sizes", "1"),
        ("check_labels.max_failure_rate", 2),
        ("distill.retention_weight", -1),
        ("distill.patience", 0),
        ("concepts.identifier", "two words"),
        ("concepts.l2", []),
        ("cycles", {}),
        ("evaluate.bootstrap_samples", 99),
        ("check_retrieval.min_mean_percentile", 1.5),
        ("register.name", "no/slash"),
        ("compute", None),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_what_was_got(load, key, value):
    with pytest.raises(SystemExit) as error:
        load(key, value)
    assert f"  {key}" in str(error.value)
    assert f"(got {value!r})" in str(error.value)


def test_each_of_several_values_must_make_sense(load):
    with pytest.raises(SystemExit, match=r"concepts\.l2\.1: .*\(got -0\.1\)"):
        load("concepts.l2", [0.1, -0.1])


@pytest.mark.parametrize(
    "key",
    [
        "check_labels.max_failure_rate",
        "check_labels.min_truth_agreement",
        "check_retrieval.min_mean_percentile",
        "check_retrieval.min_gain",
        "check_retrieval.max_caption_drop",
    ],
)
def test_a_gate_cannot_be_switched_off_with_nan(load, key):
    """Every comparison with NaN is false."""
    with pytest.raises(SystemExit, match=re.escape(key)):
        load(key, float("nan"))


def test_stages_are_finetuned_only_where_they_have_weights(load):
    with pytest.raises(SystemExit) as error:
        load("base.finetune_stages", 1)
    said = "got finetune_stages 1 with pretrained null, expected pretrained: imagenet, whose stages"
    assert said in str(error.value)


def test_every_fault_is_named_at_once(tmp_path):
    content = _content()
    content["seed"] = "x"
    content["label"]["groups"] = -1
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SystemExit) as error:
        load_params(tmp_path / "p.yaml")
    assert "seed" in str(error.value)
    assert "label.groups" in str(error.value)


@pytest.mark.parametrize(
    "cycles", [{"c1": "c1"}, {"c2": "c1"}, {"c1": "c0", "c2": "c0"}, {"c1": "c0", "c3": "c2"}]
)
def test_cycles_follow_each_other(load, cycles):
    with pytest.raises(SystemExit, match="each of the cycles comes after the one before it"):
        load("cycles", cycles)


@pytest.mark.parametrize(
    ("key", "value"),
    [("cycles", {"c1": "c1"}), ("label.band_sizes", [1, 1]), ("catalog.split.val", 1)],
)
def test_what_is_said_of_a_whole_section_does_not_print_it(load, key, value):
    with pytest.raises(SystemExit) as error:
        load(key, value)
    assert "{" not in str(error.value)
    assert len(str(error.value).splitlines()[-1]) < 150


def test_a_cycle_is_one_line(load):
    assert list(load("cycles", {"c1": "c0", "later": "c1"}).cycles) == ["c1", "later"]


@pytest.mark.parametrize(
    "shares", [{"train": 0.7, "val": 0.2, "test": 0.2}, {"train": 0.5, "val": 0.2, "test": 0.2}]
)
def test_splits_must_add_up(load, shares):
    with pytest.raises(SystemExit, match=r"catalog\.split: .*expected a sum of 1"):
        load("catalog.split", shares)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("label.band_sizes", [1, 1, 1], "got 3 band sizes, expected 4"),
        ("label.band_edges", [0.9, 0.7, 0.95], "expected them rising"),
        ("label.band_edges", [0.7, 0.7, 0.95], "expected them rising"),
        ("label.band_sizes", [0, 0, 0, 1], "groups of two pictures at least"),
    ],
)
def test_bands_must_fit_together(load, key, value, message):
    with pytest.raises(SystemExit, match=rf"label: .*{message}"):
        load(key, value)


def test_parameters_cannot_be_changed_on_the_way():
    params = load_params(FILE)
    with pytest.raises(ValueError, match="frozen"):
        params.label.groups = 3


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(SystemExit, match=r"none\.yaml is missing: run this from the project's top"):
        load_params(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: [1", "", "- 1", "just words"])
def test_what_is_no_table_of_parameters_is_refused_by_name(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SystemExit, match=r"p\.yaml"):
        load_params(tmp_path / "p.yaml")


def _key_lines(node):
    for key, value in node.value:
        yield key.value, key.start_mark.line
        if isinstance(value, yaml.MappingNode):
            yield from _key_lines(value)


def test_every_parameter_is_explained_beside_its_value():
    text = FILE.read_text(encoding="utf-8")
    lines = text.splitlines()
    unexplained = [
        key
        for key, line in _key_lines(yaml.compose(text))
        if not re.search(r" # \w.+", lines[line])
    ]
    assert unexplained == []


def test_sections_are_named_after_stages_or_shared():
    sections = {field.alias or name for name, field in Params.model_fields.items()}
    stages = {path.stem for path in (FILE.parent / "pipelines").glob("*.py")}
    assert sections - stages == {"seed", "compute", "cycles", "teacher"}


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("label.goups", "label.goups: .*; did you mean groups\\? \\(got 17\\), line \\d+"),
        ("distill.momentum", "distill.momentum: .*not permitted \\(got 17\\), line \\d+"),
        ("base.patience", "base.patience: .*; patience belongs to distill \\(got 17\\)"),
        ("check_retrieval.min_gian", "did you mean min_gain\\?"),
    ],
)
def test_a_wrong_key_names_itself_and_the_nearest_right_one(load, key, suggested):
    with pytest.raises(SystemExit, match=suggested):
        load(key, 17)


def test_a_missing_key_is_named_without_the_section_around_it(load):
    with pytest.raises(SystemExit) as error:
        load("teacher.simulated")
    assert re.fullmatch(
        r"\S+params\.yaml:\n  teacher\.simulated: Field required, line \d+", str(error.value)
    )


def test_what_was_got_is_shortened(load):
    with pytest.raises(SystemExit) as error:
        load("label.groups", list(range(1000)))
    assert "label.groups: " in str(error.value)
    assert len(str(error.value).splitlines()[-1]) < 200


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("seed: 0", "seed: yes", r"line 4: got yes, .* write true"),
        ("seed: 0", "seed: true", r"seed: .*\(got True\), line 4"),
        ("seed: 0", "seed: 1_000", r"line 4: got 1_000, .* for 1000 .*; write 1000"),
        ("seed: 0", "seed: 010", r"line 4: got 010, .* for 8 "),
        ("seed: 0", "seed: 1:30", r"line 4: got 1:30, .* for 90 "),
        ("seed: 0", "seed: 0\nseed: 1", r"the key seed stands in lines 4 and 5; keep one"),
        ("  threads: 2", "  threads: 2\n  threads: 4", r"the key threads stands in lines 9 and 10"),
        ("  threads: 2", '  threads: "2"', r"compute.threads: .*\(got '2'\), line 9"),
        ("learning_rate: 0.003", "learning_rate: 0.0_03", r"got 0.0_03, .* for 0.003 "),
        ("weight_decay: 0.5", "weight_decay: false", r"distill.weight_decay: .*\(got False\)"),
        ("min_rankings: 100", "min_rankings: on", r"got on, .* write true"),
    ],
)
def test_a_value_that_reads_in_two_ways_is_refused_with_its_line(tmp_path, was, now, message):
    text = FILE.read_text(encoding="utf-8")
    assert was in text
    (tmp_path / "p.yaml").write_text(text.replace(was, now, 1), encoding="utf-8")
    with pytest.raises(SystemExit, match=message):
        load_params(tmp_path / "p.yaml")


@pytest.mark.parametrize("written", ["3e-3", "3.0e-3", "3E-3", ".003"])
def test_numbers_may_have_an_exponent(tmp_path, written):
    text = FILE.read_text(encoding="utf-8").replace(
        "learning_rate: 0.003", f"learning_rate: {written}"
    )
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert load_params(tmp_path / "p.yaml").base.learning_rate == 0.003
