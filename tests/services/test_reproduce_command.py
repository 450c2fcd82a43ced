"""`kindred reproduce` in words, as JSON and as an exit code; the reproduction itself is given."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from registry.errors import RefusedError
from registry.reproduction import Output, Reproduction
from registry.rerun import Change
from services.cli import main

EQUAL = Output("select", "models/student", "equal")


@pytest.fixture
def reproduce(registered, monkeypatch, capsys):
    """Runs the verb over what would come out; (exit code, standard output, standard error)."""

    def run(*arguments, **what):
        done = Reproduction(
            version=registered, commit="c0ffee" * 6, likeness="equal", outputs=[EQUAL],
            left_out=["reports/a.html", "data/runs/c1.json"], metrics=[], packages=[], notes=[],
            finished=True, digest=registered.digest, folder=None,
        )  # fmt: skip

        def stand_in(version, given, *, keep, report):
            report("Running stage 'catalog':")
            if "refused" in what:
                raise RefusedError(what["refused"])
            return replace(done, **what)

        monkeypatch.setattr("registry.reproduction.reproduce", stand_in)
        code = main(["reproduce", "3", *arguments])
        return code, *capsys.readouterr()

    return run


def test_equal_is_exit_code_0(reproduce):
    code, told, steps = reproduce()
    assert code == 0
    lines = told.splitlines()
    assert lines[0] == "version 3 of kindred, made again from commit c0ffeec0ffee, is equal"
    assert "1 of 1 outputs are equal byte for byte" in lines[1]
    assert "  2 reports and records of runs are not compared" in told
    assert "  its bundle has the same digest: " in told
    assert "Python and the packages are those that it was made with" in told
    assert steps == "  Running stage 'catalog':\n"


def test_within_rounding_is_exit_code_0_and_names_the_tolerance(reproduce):
    output = Output("base", "data/vectors/c0", "rounding")
    code, told, _ = reproduce(likeness="rounding", outputs=[EQUAL, output], digest="e" * 64)
    assert code == 0
    assert told.splitlines()[0].endswith("is equal within rounding")
    assert "numbers by at most 1e-05" in told
    assert "  rounding: data/vectors/c0 (base)" in told
    assert "same digest" not in told


def test_what_differs_is_named_and_is_exit_code_1(reproduce):
    what = {
        "likeness": "differs",
        "outputs": [EQUAL, Output("distill@c1", "models/cycles/c1", "differs", "1 of 6 files: w")],
        "metrics": [
            *(Change(f"m{n:02}", 0.5, 0.25) for n in range(19)),
            Change("persona.student.mean_percentile", 0.9, 0.8),
        ],
        "packages": [Change("numpy", "2.0", "2.1"), Change("gone", "1.0", None)],
        "notes": ["retrieval is not what the version was made from: modified"],
        "folder": Path("/kept/tree"),
    }
    code, told, said = reproduce(**what)
    assert code == 1
    assert said.splitlines()[-1] == (
        "kindred reproduce: version 3 does not come out as it was registered"
    )
    for line in (
        "  differs: models/cycles/c1 (distill@c1): 1 of 6 files: w",
        "  metric persona.student.mean_percentile: 0.8 (was 0.9)",  # a headline: first
        "  metric m10: 0.25 (was 0.5)",
        "  and 8 metrics more; --json has all",
        "  here is numpy 2.1 (was 2.0)",
        "  here is gone not installed (was 1.0)",
        "  note: retrieval is not what the version was made from: modified",
    ):
        assert line in told.splitlines()
    assert "  kept: /kept/tree" in told
    code, told, _ = reproduce("--json", **what)
    record = json.loads(told)
    assert code == 1
    assert (record["likeness"], record["same_digest"]) == ("differs", True)
    assert len(record["metrics"]) == 20
    assert record["outputs"][1]["note"] == "1 of 6 files: w"


def test_a_stage_that_failed_is_no_difference_but_a_failure(reproduce):
    code, told, said = reproduce(finished=False, likeness="differs", digest=None)
    assert code == 1
    assert "was not made to the end" in told
    assert "a stage failed" in said
    assert "metrics: not made" in told


def test_what_is_refused_is_one_line(reproduce):
    code, told, said = reproduce(refused="got commit c0ffee, which is not here: fetch it")
    assert (code, told) == (1, "")
    assert said.splitlines()[-1].startswith("kindred reproduce: got commit c0ffee")


def test_an_unknown_version_is_exit_code_2(registered, capsys):
    assert main(["reproduce", "77"]) == 2
    assert "got version '77'" in capsys.readouterr().err


def test_a_revision_names_the_version_that_was_trained(registered, monkeypatch, capsys):
    revision = replace(registered, revision=1, revision_of=2)
    monkeypatch.setattr("registry.versions.list_versions", lambda name: [revision])
    assert main(["reproduce", "3"]) == 1
    assert "`kindred reproduce 2`" in capsys.readouterr().err
