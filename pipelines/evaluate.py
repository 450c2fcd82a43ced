"""Stage `evaluate`: what base and student can do, on personas, products and subjects unseen.

models/student/, models/concepts/, data/vectors/, data/tournaments.parquet,
data/held_out_groups.parquet, the catalogue
    -> metrics/evaluate.json, data/runs/evaluate.json, and in reports/: queries.parquet,
       concept_queries.parquet, slices.csv, calibration.csv, percentiles.csv,
       percentiles_by_cycle.csv, worst.json, and evaluation.html, which shows it all

docs/evaluation.md says what each number means.

Run:  dvc repro evaluate
Tiny: python -m pipelines.evaluate, after a tiny run of the stages before
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.evaluation.captions import caption_metrics, captions_of
from pipelines.evaluation.concepts import ask_about_concepts
from pipelines.evaluation.groups import calibrate, read_groups
from pipelines.evaluation.personas import (
    Reader,
    compare,
    compare_gain,
    persona_scores,
    query_rows,
    read_listings,
    summarise,
)
from pipelines.evaluation.report import REPORT, write_report
from pipelines.evaluation.slices import Slices, chosen_kinds, slice_metrics, slice_personas
from pipelines.evaluation.statistics import Resampling
from pipelines.evaluation.tables import (
    write_calibration,
    write_cycles,
    write_percentiles,
    write_slices,
    write_worst,
)
from pipelines.held_out.winners import HeldOut, read_held_out
from pipelines.run.artifacts import write_run
from pipelines.run.params import Params, load_params
from pipelines.run.paths import (
    BASE,
    CALIBRATION_FILE,
    CONCEPT_QUERIES_FILE,
    CONCEPTS,
    CYCLES_FILE,
    EVALUATION,
    HELD_OUT_GROUPS_FILE,
    PERCENTILES_FILE,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    QUERIES_FILE,
    SLICES_FILE,
    STUDENT_MODEL,
    SUBJECTS_FILE,
    TOURNAMENTS_FILE,
    WORST_FILE,
)
from pipelines.run.stage import derive_seed, run_stage, say, stage_lock
from registry.tracking import log_files, log_metrics, training_run
from retrieval.compute import make_repeatable, resolve_device
from retrieval.slices import is_headline, is_held_out
from retrieval.storage.files import sha256_file, sha256_folder, write_json
from retrieval.storage.schema import (
    CONCEPT_QUERIES,
    PERSONAS,
    PRODUCTS,
    QUERIES,
    QueryRow,
    read_rows,
    write_rows,
)

TABLES = (
    EVALUATION, QUERIES_FILE, CONCEPT_QUERIES_FILE, SLICES_FILE, CALIBRATION_FILE,
    PERCENTILES_FILE, CYCLES_FILE, WORST_FILE,
)  # fmt: skip
READERS = ("base", "text", "student")  # the models that read a persona's words

ModelRows = Mapping[str, list[QueryRow]]


def read_everybody() -> HeldOut:
    """The test personas with their groups and slices."""
    held_out = read_held_out("test")
    personas, products = read_rows(PERSONAS_FILE, PERSONAS), read_rows(PRODUCTS_FILE, PRODUCTS)
    slices = slice_personas(held_out, personas, products)
    return replace(held_out, groups_Q=read_groups(held_out), slices_Q=slices)


def measure(held_out: HeldOut, text: Reader, seed: int) -> ModelRows:
    """Model -> its rows of the queries table."""
    if not held_out.personas:
        return {model: [] for model in READERS}
    scores = persona_scores(held_out, text, seed)
    return {model: query_rows(held_out, model, scores[model]) for model in scores}


def persona_metrics(
    rows: ModelRows, paraphrased: ModelRows, kinds: Sequence[str], resampling: Resampling
) -> dict[str, Any]:
    """Of the headline's personas in both wordings; slices of them and of the others.

    `kinds` is as `chosen_kinds` has it.
    """
    here, there = headline(rows), headline(paraphrased)
    new = {model: [row for row in rows[model] if is_held_out(row["slices"])] for model in rows}
    return {
        "persona": {model: summarise(here[model], resampling) for model in here},
        "persona_paraphrased": {model: summarise(there[model], resampling) for model in there},
        "comparison": compare(here, there, resampling),
        "held_out_wishes": {
            **{model: summarise(new[model], resampling) for model in ("base", "student")},
            "comparison": compare_gain(new, resampling),
        },
        "slices": slice_metrics(rows["base"], rows["student"], kinds, resampling),
    }


def headline(rows: ModelRows) -> ModelRows:
    """Without the personas of unseen interests."""
    return {model: [row for row in rows[model] if is_headline(row["slices"])] for model in rows}


def write_reports(held_out: HeldOut, rows: ModelRows, slices: Slices, params: Params) -> None:
    """The tables that the report draws; personas of unseen interests stand in the slices alone."""
    chosen = [row for row, slices_ in enumerate(held_out.slices_Q) if is_headline(slices_)]
    here, shown = headline(rows), held_out.only(chosen)
    write_percentiles(
        {model: [row["percentile"] for row in here[model]] for model in here if here[model]}
    )
    write_slices(slices)
    models = {"base": BASE, "student": "student"}
    scores = {model: shown.scores(models[model]) for model in models} if chosen else {}
    write_calibration(calibrate(shown.groups_Q, scores))
    write_cycles(shown, list(params.cycles))
    texts = {persona["persona_id"]: persona["text"] for persona in shown.personas}
    write_worst(here["base"], here["student"], texts)


def main() -> None:
    """Read, measure, write."""
    params = load_params()
    files = (TOURNAMENTS_FILE, HELD_OUT_GROUPS_FILE, SUBJECTS_FILE)
    digests = {str(path): sha256_file(path) for path in files}
    digests |= {str(path): sha256_folder(path) for path in (STUDENT_MODEL, CONCEPTS)}
    settings = {"seed": params.seed, "evaluate": params.evaluate.model_dump(mode="json")}
    with stage_lock("evaluate"), training_run("evaluate", settings, digests) as run:
        make_repeatable(derive_seed(params.seed, "evaluate"), params.compute.threads)
        held_out = read_everybody()
        text = read_listings(held_out.products)
        rows = measure(held_out, text, params.seed)
        paraphrased = measure(held_out.paraphrased(), text, params.seed)
        resampling = Resampling(
            params.evaluate.bootstrap_samples,
            params.evaluate.permutations,
            derive_seed(params.seed, "evaluate", "bootstrap"),
        )
        metrics = persona_metrics(rows, paraphrased, chosen_kinds(held_out), resampling)
        slices = metrics.pop("slices")
        metrics["caption"] = caption_metrics(held_out.products)
        captions = captions_of(held_out.products, params.evaluate.captions)
        device = resolve_device(params.compute.device)
        asked = ask_about_concepts(held_out.products, captions, device)
        metrics["concept"] = asked.summarise(resampling) if asked else None
        write_rows(CONCEPT_QUERIES_FILE, asked.rows() if asked else [], CONCEPT_QUERIES)
        write_json(EVALUATION, {**metrics, "slices": slices})
        everything = [*rows.values(), *paraphrased.values()]
        write_rows(QUERIES_FILE, [row for model in everything for row in model], QUERIES)
        write_reports(held_out, rows, slices, params)
        write_report()
        log_metrics(metrics)  # slices are in their file: MLflow takes few signs in a name
        log_files([*TABLES, REPORT])
        write_run("evaluate", run)
        say(_summary(metrics))


def _summary(metrics: dict[str, Any]) -> str:
    base, student = (metrics["persona"][model]["mean_percentile"] for model in ("base", "student"))
    if base is None:
        return "every test persona has an unseen interest: the slices have all there is"
    return f"winner's mean percentile on unseen personas: base {base:.3f}, student {student:.3f}"


if __name__ == "__main__":
    run_stage(main)
