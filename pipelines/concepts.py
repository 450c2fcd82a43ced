"""Stage `concepts`: one rank-one update of the text tower for each of the evaluation's subjects.

models/student/best/, data/vectors/best/, data/subjects.parquet and its pictures, the catalogue;
with `concepts.benchmark` models/base/ and that benchmark's files
    -> models/concepts/<name>/ (PEFT adapters), metrics/concepts.json, reports/concepts/ (a sheet a
       concept, curves.png), reports/curves/concepts*.csv, data/runs/concepts.json

Lambda and learning rate are chosen on a third of the subjects; `evaluate` reports the others.
Without subjects the folders stay empty. A published benchmark is measured first, on the base model
and with the published settings; its row is printed, and is in metrics/concepts.json.

Run:  dvc repro concepts
Tiny: python -m pipelines.concepts, after concepts.steps: 10 in params.yaml
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines import concept_benchmark
from pipelines.artifacts import write_curves, write_run
from pipelines.concept_choice import Trial, make_bench, settle
from pipelines.concept_curves import LAMBDA_TABLE, PHOTOS_TABLE, draw_curves, write_trials
from pipelines.concept_sheets import draw_sheet, search_scenes
from pipelines.concept_subjects import (
    prepare,
    references_by_concept,
    report_concerns,
    teach,
    unrelated_cosine,
    validation_subjects,
)
from pipelines.params import Concepts, load_params
from pipelines.paths import BASE_MODEL, BEST_MODEL, CONCEPTS, SUBJECTS_FILE, model_metrics
from pipelines.stage import derive_seed, progress, say, stage_lock
from registry.tracking import log_curve, training_run
from retrieval.compute import make_repeatable, resolve_device
from retrieval.concepts import Settings, save_concept
from retrieval.encoder import load_encoder
from retrieval.files import atomic_folder, sha256_file, sha256_folder, write_json
from retrieval.schema import SUBJECTS, read_rows
from retrieval.text_tower import TextTower

SHEETS = Path("reports/concepts")

Rows = list[dict[str, Any]]


def measure_benchmark(params: Concepts, device: str) -> dict[str, Any] | None:
    """The metrics of the published benchmark; None where there is none.

    Raises:
        SystemExit: Its files are not all there, or not as they should be.
    """
    if params.benchmark is None or params.path is None:
        return None
    data = concept_benchmark.read(params.benchmark, params.path)
    metrics = concept_benchmark.run(params.benchmark, data, load_encoder(BASE_MODEL, device))
    return {"name": params.benchmark, **metrics}


def learn_all(
    subjects: Rows, params: Concepts, device: str, models: Path, sheets: Path
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Choose settings, learn, save and draw every concept.

    Returns:
        Each one's loss curve, and what was chosen and why.

    Raises:
        SystemExit: A concept has no photo that can be read, or no proper noun.
    """
    references = references_by_concept(subjects)
    tower = TextTower(load_encoder(BEST_MODEL, device))
    lessons = prepare(tower, references, params.identifier)
    spared = validation_subjects(list(references))
    bench = make_bench(tower, lessons[: len(spared)], subjects, params.pairs)
    report_concerns(tower.encoder, lessons, unrelated_cosine(bench.gallery_GD))
    settings, trials, over_photos = settle(bench, params)
    concepts, losses_CS = teach(tower, lessons, settings, params.pairs)
    for lesson, concept in progress(zip(lessons, concepts, strict=True), "saving", len(concepts)):
        save_concept(concept, tower, models / concept.name)
        found = search_scenes(tower, concept, subjects, bench.gallery, bench.gallery_GD)
        draw_sheet(concept.name, lesson.photos, found, sheets / f"{concept.name}.png")
    choice = write_choice(settings, trials, over_photos, spared)
    if trials:
        draw_curves(trials, over_photos, settings, sheets / "curves.png")
        say(f"chosen on {', '.join(spared)}: lambda {settings.l2}, rate {settings.learning_rate}")
    rows = zip(lessons, losses_CS, strict=True)
    return {lesson.start.name: row.tolist() for lesson, row in rows}, choice


def write_choice(
    settings: Settings | None, trials: list[Trial], over_photos: list[Trial], spared: list[str]
) -> dict[str, Any]:
    """What was chosen and why, for the metrics; and as tables for `dvc plots`, written here."""
    write_trials(LAMBDA_TABLE, trials)
    write_trials(PHOTOS_TABLE, over_photos)
    chosen = settings and {"l2": settings.l2, "learning_rate": settings.learning_rate}
    table = [
        {key: None if value != value else value for key, value in asdict(trial).items()}  # NaN
        for trial in trials
    ]
    return {"chosen": chosen, "chosen_on": spared, "trials": table}


def main() -> None:
    """Read, learn, write."""
    params = load_params()
    digests = {
        str(SUBJECTS_FILE): sha256_file(SUBJECTS_FILE),
        str(BEST_MODEL): sha256_folder(BEST_MODEL),
    }
    settings = {"seed": params.seed, "concepts": params.concepts.model_dump(mode="json")}
    with stage_lock("concepts"), training_run("concepts", settings, digests) as run:
        make_repeatable(derive_seed(params.seed, "concepts"), params.compute.threads)
        subjects = read_rows(SUBJECTS_FILE, SUBJECTS)
        device = resolve_device(params.compute.device)
        published = measure_benchmark(params.concepts, device)
        curves: dict[str, list[float]] = {}
        with atomic_folder(CONCEPTS) as models, atomic_folder(SHEETS) as sheets:
            if references_by_concept(subjects):
                curves, choice = learn_all(subjects, params.concepts, device, models, sheets)
            else:
                choice = write_choice(None, [], [], [])
        write_json(model_metrics("concepts"), {**choice, "benchmark": published})
        for name, losses in curves.items():
            log_curve(f"loss.{name}", losses)
        write_curves("concepts", curves)
        write_run("concepts", run)
        say(f"{len(curves)} concepts learned")


if __name__ == "__main__":
    main()
