"""Stage `concepts`: one rank-one update of the text tower for each of the evaluation's subjects.

models/student/, data/vectors/student/, data/subjects.parquet and its pictures, the catalogue
    -> models/concepts/<name>/ (PEFT adapters), metrics/concepts.json, reports/concepts/ (a sheet a
       concept), reports/curves/concepts*.csv, data/runs/concepts.json

Lambda and learning rate are chosen on a third of the subjects; `evaluate` reports the others.
Without subjects the folders stay empty.

Run:  dvc repro concepts
Tiny: python -m pipelines.concepts, after concepts.steps: 10 in params.yaml
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.run.artifacts import write_curves, write_run
from pipelines.run.params import Concepts, load_params
from pipelines.run.paths import CONCEPTS, STUDENT_MODEL, SUBJECTS_FILE, stage_metrics
from pipelines.run.stage import derive_seed, progress, run_stage, say, stage_lock
from pipelines.subjects.lessons import (
    prepare,
    references_by_concept,
    report_concerns,
    validation_subjects,
)
from pipelines.subjects.sheets import draw_sheet, search_scenes
from pipelines.subjects.trials import (
    LAMBDA_TABLE,
    PHOTOS_TABLE,
    Trial,
    choose_settings,
    first_settings,
    make_bench,
    write_trials,
)
from registry.tracking import log_curve, training_run
from retrieval.compute import make_repeatable, resolve_device
from retrieval.concepts.adapter import save_concept
from retrieval.concepts.teaching import Teaching, teach, unrelated_cosine
from retrieval.encoder import load_encoder
from retrieval.storage.files import atomic_folder, sha256_file, sha256_folder, write_json
from retrieval.storage.schema import SUBJECTS, SubjectRow, read_rows
from retrieval.text.tower import TextTower

SHEETS = Path("reports/concepts")


def learn_all(
    subjects: Sequence[SubjectRow], params: Concepts, device: str, models: Path, sheets: Path
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Choose settings, learn, save and draw every concept.

    Returns:
        Each one's loss curve, and what was chosen and why.

    Raises:
        SystemExit: A concept has no photo that can be read, or no proper noun.
    """
    references = references_by_concept(subjects)
    tower = TextTower(load_encoder(STUDENT_MODEL, device))
    lessons = prepare(tower, references, params.identifier)
    spared = validation_subjects(list(references))
    bench = make_bench(tower, lessons[: len(spared)], subjects, params.pairs)
    report_concerns(tower.encoder, lessons, unrelated_cosine(bench.gallery_GD))
    settings, trials, over_photos = choose_settings(bench, params)
    concepts, losses_CS = teach(tower, lessons, settings, params.pairs)
    for lesson, concept in progress(zip(lessons, concepts, strict=True), "saving", len(concepts)):
        save_concept(concept, tower, models / concept.name)
        found = search_scenes(tower, concept, subjects, bench.gallery, bench.gallery_GD)
        draw_sheet(concept.name, lesson.photos, found, sheets / f"{concept.name}.png")
    teaching = Teaching(params.identifier, settings, params.pairs)
    choice = write_choice(teaching, trials, over_photos, spared)
    if trials:
        say(f"chosen on {', '.join(spared)}: lambda {settings.l2}, rate {settings.learning_rate}")
    rows = zip(lessons, losses_CS, strict=True)
    return {lesson.start.name: row.tolist() for lesson, row in rows}, choice


def untried(params: Concepts) -> Teaching:
    """How concepts are taught where there are no subjects to choose on."""
    return Teaching(params.identifier, first_settings(params), params.pairs)


def write_choice(
    teaching: Teaching, trials: list[Trial], over_photos: list[Trial], spared: list[str]
) -> dict[str, Any]:
    """What was chosen and why, for the metrics; and as tables for `dvc plots`, written here."""
    write_trials(LAMBDA_TABLE, trials)
    write_trials(PHOTOS_TABLE, over_photos)
    table = [
        {key: None if value != value else value for key, value in asdict(trial).items()}  # NaN
        for trial in trials
    ]
    return {"teaching": asdict(teaching), "chosen_on": spared, "trials": table}


def main() -> None:
    """Read, learn, write."""
    params = load_params()
    digests = {
        str(SUBJECTS_FILE): sha256_file(SUBJECTS_FILE),
        str(STUDENT_MODEL): sha256_folder(STUDENT_MODEL),
    }
    settings = {"seed": params.seed, "concepts": params.concepts.model_dump(mode="json")}
    with stage_lock("concepts"), training_run("concepts", settings, digests) as run:
        make_repeatable(derive_seed(params.seed, "concepts"), params.compute.threads)
        subjects = read_rows(SUBJECTS_FILE, SUBJECTS)
        device = resolve_device(params.compute.device)
        curves: dict[str, list[float]] = {}
        with atomic_folder(CONCEPTS) as models, atomic_folder(SHEETS) as sheets:
            if references_by_concept(subjects):
                curves, choice = learn_all(subjects, params.concepts, device, models, sheets)
            else:
                choice = write_choice(untried(params.concepts), [], [], [])
        write_json(stage_metrics("concepts"), choice)
        for name, losses in curves.items():
            log_curve(f"loss.{name}", losses)
        write_curves("concepts", curves)
        write_run("concepts", run)
        say(f"{len(curves)} concepts learned")


if __name__ == "__main__":
    run_stage(main)
