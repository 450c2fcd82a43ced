"""Stage `concepts`: one rank-one update of the text tower for each of the evaluation's subjects.

models/student/best/, data/subjects.parquet and its reference photos
    -> models/concepts/<name>/ (PEFT adapters), reports/curves/concepts.csv, data/runs/concepts.json

Without subjects the folder stays empty.

Run:  dvc repro concepts
Tiny: python -m pipelines.concepts, after concepts.steps: 10 in params.yaml
"""

from pathlib import Path
from typing import Any

from pipelines.artifacts import write_curves, write_run
from pipelines.params import Params, load_params
from pipelines.paths import BEST_MODEL, CONCEPTS, SUBJECTS_FILE
from pipelines.stage import derive_seed, progress, say, stage_lock
from registry.tracking import log_curve, training_run
from retrieval.compute import make_repeatable, resolve_device
from retrieval.concepts import Settings, learn, new_concept, save_concept
from retrieval.encoder import Encoder, load_encoder
from retrieval.files import atomic_folder, sha256_file, sha256_folder
from retrieval.schema import SUBJECTS, read_rows
from retrieval.text_tower import TextTower

Rows = list[dict[str, Any]]


def references_by_concept(subjects: Rows) -> dict[str, Rows]:
    """The reference rows of each concept, in the table's order."""
    references: dict[str, Rows] = {}
    for row in subjects:
        if row["role"] == "reference":
            references.setdefault(row["concepts"][0], []).append(row)
    return references


def learn_all(
    encoder: Encoder, references: dict[str, Rows], params: Params, folder: Path
) -> dict[str, list[float]]:
    """Learn and save every concept; returns each one's loss curve."""
    tower = TextTower(encoder)
    settings = Settings(params.concepts.steps, params.concepts.learning_rate, params.concepts.l2)
    curves = {}
    for name, rows in progress(references.items(), "concepts"):
        pixels = encoder.read_pixels([SUBJECTS_FILE.parent / row["image"] for row in rows])
        start = new_concept(
            name, rows[0]["noun"], params.concepts.identifier, tower.width
        )
        concept, curves[name] = learn(tower, start, encoder.encode_pixels(pixels), settings)
        save_concept(concept, tower, folder / name)
    return curves


def main() -> None:
    """Read, learn, write."""
    params = load_params()
    digests = {
        str(SUBJECTS_FILE): sha256_file(SUBJECTS_FILE),
        str(BEST_MODEL): sha256_folder(BEST_MODEL),
    }
    settings = {"seed": params.seed, "concepts": params.concepts.model_dump()}
    with stage_lock("concepts"), training_run("concepts", settings, digests) as run:
        make_repeatable(derive_seed(params.seed, "concepts"), params.compute.threads)
        references = references_by_concept(read_rows(SUBJECTS_FILE, SUBJECTS))
        curves: dict[str, list[float]] = {}
        with atomic_folder(CONCEPTS) as temporary:
            if references:
                encoder = load_encoder(BEST_MODEL, resolve_device(params.compute.device))
                curves = learn_all(encoder, references, params, temporary)
        for name, losses in curves.items():
            log_curve(f"loss.{name}", losses)
        write_curves("concepts", curves)
        write_run("concepts", run)
        say(f"{len(curves)} concepts learned")


if __name__ == "__main__":
    main()
