"""What stands in the boxes of a lineage's picture."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import pytest

from registry.bundle import Bundle, open_bundle
from registry.history import Change
from registry.lineage import Account, Asking
from registry.lineage_drawing import draw_lineage
from registry.lineage_graph import Box, lineage_graph
from registry.lineage_report import lineage_record
from registry.verdicts import Verdict
from registry.versions import Version

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VERSION = Version(
    name="kindred",
    number=3,
    digest="d" * 64,
    run_id="run",
    created=NOW,
    aliases=("challenger",),
    verdicts={},
    metrics={"persona_percentile": 0.956},
)
PROMOTION = Change(
    run_id="r",
    action="promote",
    name="kindred",
    before=2,
    after=3,
    after_digest="d" * 64,
    outcome="done",
    reason="",
    overridden="",
    user="anna",
    began=NOW,
)
ACCOUNT = Account(
    products={"train": 8},
    personas={"train": 5000, "test": 900},
    rankings={"c1": 900, "c2": 900},
    rejects={"photos.csv": 3, "captions": 1},
    dropped={},
    asked={"label c1": Asking(calls=950, cost_usd=1.25), "tournaments": Asking(calls=60)},
    registered_by={},
)


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder)


def boxes(bundle: Bundle, version: Version = VERSION, *history: Change) -> dict[str, Box]:
    graph = lineage_graph(lineage_record(version, bundle, history, Path.cwd()))
    return {name: graph.nodes[name]["box"] for name in graph}


def counted(bundle: Bundle) -> Bundle:
    return replace(bundle, lineage=bundle.lineage.model_copy(update={"account": ACCOUNT}))


def test_the_way_from_catalogue_to_promotion(bundle: Bundle) -> None:
    graph = lineage_graph(lineage_record(VERSION, bundle, [], Path.cwd()))
    way = ["catalogue", "labels", "student", "version", "promotion"]
    assert nx.is_path(graph, way)
    assert nx.is_directed_acyclic_graph(graph)


def test_counts_are_in_the_boxes(bundle: Bundle) -> None:
    found = boxes(counted(bundle))
    assert found["catalogue"].large == "8 products"
    assert "4 rows refused" in found["catalogue"].small
    assert found["wishes"].large == "5,900 personas"
    assert found["labels"].large == "1,800 rankings"
    assert "1,010 calls, $1.25 and more" in found["labels"].small
    assert found["version"].large == "kindred 3"
    assert "known wishes 95.6 %" in found["version"].small


def test_what_is_not_recorded_is_not_made_up(bundle: Bundle) -> None:
    found = boxes(bundle)
    assert "refused rows not recorded" in found["catalogue"].small
    assert not any("calls" in line for line in found["labels"].small)


def test_promotion_is_open_until_it_is_done(bundle: Bundle) -> None:
    assert boxes(bundle)["promotion"].mood == "open"
    abandoned = replace(PROMOTION, outcome="abandoned")
    assert boxes(bundle, VERSION, abandoned)["promotion"].large == "not promoted"
    champion = replace(VERSION, aliases=("champion",))
    done = boxes(bundle, champion, PROMOTION)["promotion"]
    assert (done.large, done.mood) == ("champion", "good")
    assert {"promoted 2026-01-02", "before: version 2", "by anna"} <= set(done.small)
    assert boxes(bundle, VERSION, PROMOTION)["promotion"].large == "champion once"


def test_a_failed_gate_stands_out(bundle: Bundle) -> None:
    failed = Verdict(gate="labels", passed=False, reasons=("biased",))
    found = boxes(replace(bundle, verdicts={**bundle.verdicts, "labels_c1": failed}))
    assert (found["labels"].mood, found["version"].mood) == ("bad", "good")
    assert "gate: 0 of 1 cycles passed" in found["labels"].small


def test_a_suffix_that_cannot_be_drawn(bundle: Bundle, tmp_path: Path) -> None:
    graph = lineage_graph(lineage_record(VERSION, bundle, [], Path.cwd()))
    with pytest.raises(ValueError, match=r"got graph.pdf, expected .* \.svg or \.png"):
        draw_lineage(graph, "a title", tmp_path / "graph.pdf")
    assert not list(tmp_path.glob("graph*"))
