"""A published benchmark of personal concepts, as a row of its paper's table.

The benchmark's files (conconchi.py and perval.py say which) and a model
    -> the row, on standard output and, with --output, as JSON

The data are the user's to download. docs/concepts.md has the published rows.

    python -m benchmarks.published conconchi PATH --model ViT-L-14 --pretrained openai
    python -m benchmarks.published deepfashion2 PATH --model models/student

With --captions FILE (captions.py) also what is forgotten: recall@10 of the pictures' captions
without a concept, and with each switched on, averaged over concepts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import markdown
from benchmarks.published.captions import read_captions
from benchmarks.published.conconchi import read_conconchi
from benchmarks.published.data import Benchmark
from benchmarks.published.perval import read_perval
from pipelines.run.stage import progress, say
from pipelines.subjects.measure import (
    caption_recall,
    encode_kindred,
    encode_text_only,
    measure,
)
from retrieval.compute import resolve_device
from retrieval.concepts.concept import new_concept
from retrieval.concepts.learning import Settings, learn_many
from retrieval.encoder import Encoder, create_encoder, load_encoder
from retrieval.storage.files import write_json
from retrieval.text.tower import TextTower

CHUNK = 256  # pictures in memory at once
# In the order of the paper's tables (arXiv 2506.10182): column, kind of query, metric.
COLUMNS = {
    "conconchi": (
        ("context mRR, all", "all", "mrr"),
        ("context mAP, all", "all", "map"),
        ("context R@1, all", "all", "recall@1"),
        ("context mRR, single", "context", "mrr"),
        ("context mAP, single", "context", "map"),
        ("context R@1, single", "context", "recall@1"),
        ("context mRR, multi", "multi", "mrr"),
        ("context mAP, multi", "multi", "map"),
        ("context R@1, multi", "multi", "recall@1"),
        ("concept mRR", "concept_only", "mrr"),
        ("concept mAP", "concept_only", "map"),
    ),
    "deepfashion2": (
        ("context mRR", "context", "mrr"),
        ("context R@5", "context", "recall@5"),
        ("concept mRR", "concept_only", "mrr"),
        ("concept mAP", "concept_only", "map"),
    ),
}
LAMBDA = {"conconchi": 0.35, "deepfashion2": 0.1}  # as published
STEPS, LEARNING_RATE = 500, 0.001  # likewise
NOUN = "object"  # what ConCon-Chi's concepts are called: its annotations have no nouns


def evaluate(
    encoder: Encoder, data: Benchmark, settings: Settings, captions: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Learn every concept of a benchmark; metrics of the class nouns alone, and of the concepts.

    Args:
        encoder: The model.
        data: The benchmark.
        settings: How concepts are learned.
        captions: Of the gallery's pictures, for `captions.recall@10`; none: it is left out.
    """
    tower = TextTower(encoder)
    starts = [new_concept(name, noun, "sks", tower.width) for name, noun in data.nouns.items()]
    photos = [_encode(encoder, data.photos[start.name]) for start in starts]
    concepts, _ = learn_many(tower, starts, photos, settings)
    gallery_GD = _encode(encoder, [row["image"] for row in data.gallery])
    by_name = {concept.name: concept for concept in concepts}
    vectors = {
        "text only": encode_text_only(tower, data.queries, data.nouns),
        "kindred": encode_kindred(tower, data.queries, by_name),
    }
    metrics = {
        name: measure(data.gallery, gallery_GD, data.queries, vectors_QD, distractors=False)
        for name, vectors_QD in vectors.items()
    }
    if captions:
        unmodified, adapted = caption_recall(tower, captions, gallery_GD, concepts)
        metrics["text only"]["captions"] = {"recall@10": unmodified}
        metrics["kindred"]["captions"] = {
            "recall@10": float(np.mean(adapted)),
            "by concept": dict(zip(by_name, adapted, strict=True)),
        }
    return metrics


def table(benchmark: str, metrics: dict[str, dict[str, Any]]) -> str:
    """The paper's table, percent with two decimals; a dash where there is no such query."""
    columns = COLUMNS[benchmark]
    if all("captions" in found for found in metrics.values()):
        columns = (*columns, ("captions R@10", "captions", "recall@10"))
    rows = []
    for method, found in metrics.items():
        values = [found[kind][metric] for _, kind, metric in columns]
        rows.append([method, *("-" if v is None else f"{100 * v:.2f}" for v in values)])
    return markdown(["method", *(title for title, _, _ in columns)], rows)


def read(benchmark: str, path: Path, noun: str = NOUN) -> Benchmark:
    """Read a benchmark in its published form.

    Raises:
        SystemExit: A file is missing or a row is malformed.
    """
    return read_conconchi(path, noun) if benchmark == "conconchi" else read_perval(path)


def _encode(encoder: Encoder, paths: Sequence[Path]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of picture files, a chunk after the other: a pool has thousands."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    return np.concatenate(
        [
            encoder.encode_pixels(encoder.read_pixels(chunk))
            for chunk in progress(chunks, "pictures")
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.published",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=list(COLUMNS))
    parser.add_argument("path", type=Path, help="the folder of the benchmark's files")
    parser.add_argument("--model", required=True, help="an open_clip model, or a model folder")
    parser.add_argument("--pretrained", help="an open_clip tag or a file of weights")
    parser.add_argument("--noun", default=NOUN, help="conconchi: what concepts are called")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--l2", type=float, help="lambda; by default the published one")
    parser.add_argument("--captions", type=Path, help="JSON Lines: the pictures' captions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="a JSON file for every metric")
    return parser.parse_args()


def main() -> None:
    """Read, learn, measure, print."""
    given = _arguments()
    data = read(given.benchmark, given.path, given.noun)
    pictures = [row["image"] for row in data.gallery]
    captions = read_captions(given.captions, pictures) if given.captions else []
    device = resolve_device(given.device)
    folder = Path(given.model)
    encoder = (
        load_encoder(folder, device)
        if folder.is_dir()
        else create_encoder(given.model, given.pretrained, device)
    )
    l2 = LAMBDA[given.benchmark] if given.l2 is None else given.l2
    settings = Settings(given.steps, given.learning_rate, l2)
    say(f"{len(data.photos)} concepts, {len(data.gallery)} pictures, {len(data.queries)} queries")
    metrics = evaluate(encoder, data, settings, captions)
    say(table(given.benchmark, metrics))
    if given.output:
        write_json(given.output, metrics)
