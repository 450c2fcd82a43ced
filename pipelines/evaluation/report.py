"""The evaluation as one page that opens from disk: `reports/evaluation.html`.

metrics/evaluate.json, reports/{percentiles,percentiles_by_cycle,slices,calibration}.csv,
reports/worst.json, data/tournaments.parquet, data/personas.parquet, the catalogue
    -> reports/evaluation.html: style, drawings and pictures inside, nothing from the network

The templates in page/ hold the words.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.evaluation.drawing import calibration_view, slice_tables
from pipelines.evaluation.series import (
    SLICE_TITLES,
    TITLES,
    read_calibration,
    read_histograms,
    read_slices,
    thinned,
)
from pipelines.evaluation.verdict import verdict
from pipelines.evaluation.worst import read_worst
from pipelines.pages.render import render, write_page
from pipelines.pages.scale import Scale
from pipelines.run.paths import (
    CYCLES_FILE,
    EVALUATION,
    PERCENTILES_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
)
from retrieval.storage.files import number_at, read_json
from retrieval.storage.schema import PRODUCTS, TOURNAMENTS, read_rows

REPORT = Path("reports/evaluation.html")
TEMPLATES = Path(__file__).with_name("page")


def write_report() -> None:
    """Write the page from the files of the evaluation; what is not there is left out."""
    write_page(REPORT, render("page.html", _facts(), [TEMPLATES]))


def _facts() -> dict[str, Any]:
    metrics = read_json(EVALUATION)
    persona = metrics["persona"]
    models = {model: title for model, title in TITLES.items() if model in persona}
    teachers = {row["teacher"] for row in read_rows(TOURNAMENTS_FILE, TOURNAMENTS)}
    products = [row for row in read_rows(PRODUCTS_FILE, PRODUCTS) if row["split"] == "test"]
    return {
        "metrics": metrics,
        "models": models,
        "titles": TITLES,
        "slice_titles": SLICE_TITLES,
        "verdict": verdict(metrics),
        "personas": int(number_at(metrics, "persona", "student", "n") or 0),
        "clusters": int(number_at(metrics, "comparison", "clusters") or 0),
        "products": len(products),
        "teachers": sorted(teachers),
        "simulated": teachers == {"simulated"},
        "persona_scale": Scale.over(_reach(persona), step=0.1),
        "histograms": read_histograms(PERCENTILES_FILE),
        "cycles": thinned(read_histograms(CYCLES_FILE)),
        "slices": slice_tables(read_slices()),
        "calibration": calibration_view(read_calibration()),
        "worst": read_worst(len(products)),
    }


def _reach(persona: Mapping[str, Any]) -> list[float]:
    """What the axis of the main table must hold."""
    ends = [1.0]
    for values in persona.values():
        ends += [value for value in (values["mean_percentile"], *(values["ci95"] or [])) if value]
    return ends
