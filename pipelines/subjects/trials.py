"""Settings of personal concepts, chosen on subjects that no reported number sees.

First lambda, at the first learning rate; then the learning rate, at that lambda. The trial counts
whose mean of three is best: concept-only mAP, context mRR, and caption recall@10 with a concept on.
A limit on what captions may lose would be a cliff: half a thousandth of recall would decide between
settings that find subjects differently well. Here what hardly differs hardly matters.

How much literal search loses to a concept is measured by captions of the validation split, searched
for among as many products as the test split has, filled up with training products. The model knows
those well: they are nearer to captions than unseen pictures are, so that more is lost here than on
the test split. M captions, N products, D embedding width.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.run.params import Concepts
from pipelines.run.paths import PRODUCTS_FILE, product_vectors
from pipelines.subjects.lessons import queries_of
from pipelines.subjects.measure import encode_kindred, measure, read_gallery
from retrieval.concepts.concept import Concept
from retrieval.concepts.learning import Settings
from retrieval.concepts.queries import finish_with
from retrieval.concepts.teaching import Lesson, teach
from retrieval.metrics import first_hit_rank, recall_at
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import PRODUCTS, SubjectRow, read_rows
from retrieval.storage.vectors import read_vectors
from retrieval.text.tower import Prefix, TextTower

MOST_CAPTIONS = 300  # to keep a trial short
LAMBDA_TABLE = Path("reports/curves/concepts_lambda.csv")
PHOTOS_TABLE = Path("reports/curves/concepts_photos.csv")


@dataclass(frozen=True)
class Captions:
    """Captions, prepared, and the products among which they are searched for."""

    prefix_M: Prefix
    images_ND: NDArray[np.float32]
    hits_MN: NDArray[np.bool_]

    def recall(self, tower: TextTower, concepts: Sequence[Concept]) -> float:
        """Recall@10 with a concept switched on, averaged over concepts."""
        recalls = []
        for concept in concepts:
            texts_MD = finish_with(tower, self.prefix_M, [concept])
            ranks_M = first_hit_rank(texts_MD @ self.images_ND.T, self.hits_MN)
            recalls.append(recall_at(ranks_M, 10))
        return float(np.mean(recalls))


@dataclass(frozen=True)
class Trial:
    """What concepts came out of some settings; NaN where there is no such query."""

    l2: float
    learning_rate: float
    photos: int  # of each subject at most
    concept_only_map: float
    context_mrr: float
    multi_mrr: float
    caption_recall: float  # recall@10 of captions with a concept switched on, over concepts

    @property
    def score(self) -> float:
        """How good it is, in [0, 1]: the mean of those of its three numbers that are known."""
        numbers = (self.concept_only_map, self.context_mrr, self.caption_recall)
        return float(np.nanmean(numbers))


@dataclass(frozen=True)
class Bench:
    """What trials are measured on. G gallery pictures, D embedding width."""

    tower: TextTower
    lessons: Sequence[Lesson]
    gallery: Sequence[SubjectRow]
    gallery_GD: NDArray[np.float32]
    queries: Sequence[SubjectRow]
    captions: Captions | None
    pairs: int

    def try_out(self, settings: Settings, photos: int | None = None) -> Trial:
        """Learn the subjects' concepts, from their first photos alone if asked, and measure."""
        lessons = [lesson if photos is None else lesson.first(photos) for lesson in self.lessons]
        concepts, _ = teach(self.tower, lessons, settings, self.pairs)
        by_name = {concept.name: concept for concept in concepts}
        vectors_QD = encode_kindred(self.tower, self.queries, by_name)
        found = measure(self.gallery, self.gallery_GD, self.queries, vectors_QD, distractors=True)
        assert self.captions is not None
        return Trial(
            settings.l2,
            settings.learning_rate,
            max(len(lesson.photos) for lesson in lessons),
            _number(found["concept_only"]["map"]),
            _number(found["context"]["mrr"]),
            _number(found["multi"]["mrr"]),
            self.captions.recall(self.tower, concepts),
        )


def make_bench(
    tower: TextTower, lessons: Sequence[Lesson], subjects: Sequence[SubjectRow], pairs: int
) -> Bench:
    """What settings are chosen on: the lessons are the validation subjects'."""
    gallery, gallery_GD = read_gallery(tower.encoder, subjects)
    queries = queries_of(subjects, [lesson.start.name for lesson in lessons])
    captions = validation_captions(tower) if queries else None
    return Bench(tower, lessons, gallery, gallery_GD, queries, captions, pairs)


def validation_captions(tower: TextTower) -> Captions:
    """Captions of the validation split; of the training split where there are none."""
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    by_split = {
        split: [row for row in products if row["split"] == split]
        for split in ("train", "val", "test")
    }
    asked = (by_split["val"] or by_split["train"])[:MOST_CAPTIONS]
    pool = [*by_split["val"], *by_split["train"]][: max(len(by_split["test"]), len(asked))]
    captions_M = np.array([row["caption"] for row in asked])
    captions_N = np.array([row["caption"] for row in pool])
    images_ND = read_vectors(product_vectors("student")).rows([row["product_id"] for row in pool])
    hits_MN = captions_M[:, None] == captions_N
    return Captions(tower.prefix(list(captions_M)), images_ND, hits_MN)


def choose_settings(bench: Bench, params: Concepts) -> tuple[Settings, list[Trial], list[Trial]]:
    """The settings, and the trials over lambda and learning rate, and over photos.

    Without validation subjects: the first values of the lists, and no trials.
    """
    base = first_settings(params)
    if not bench.queries:
        return base, [], []
    settings, trials = choose(bench, base, params.l2, params.learning_rate)
    return settings, trials, over_photos(bench, settings, trials)


def first_settings(params: Concepts) -> Settings:
    """The first values of the lists."""
    return Settings(
        params.steps,
        params.learning_rate[0],
        params.l2[0],
        params.tolerance,
        params.rank,
        params.prompts_per_photo,
    )


def choose(
    bench: Bench, base: Settings, l2: Sequence[float], learning_rates: Sequence[float]
) -> tuple[Settings, list[Trial]]:
    """The settings of the best trial, and every trial in the order in which it was made."""
    trials = [
        bench.try_out(replace(base, l2=value, learning_rate=learning_rates[0])) for value in l2
    ]
    best = best_trial(trials)
    trials += [
        bench.try_out(replace(base, l2=best.l2, learning_rate=rate)) for rate in learning_rates[1:]
    ]
    best = best_trial(trials)
    return replace(base, l2=best.l2, learning_rate=best.learning_rate), trials


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The one of the highest score; the first of equals."""
    return max(trials, key=lambda trial: trial.score)


def over_photos(bench: Bench, settings: Settings, trials: Sequence[Trial]) -> list[Trial]:
    """The chosen settings with one photo a subject, two, and so on; with all there is a trial."""
    most = max(len(lesson.photos) for lesson in bench.lessons)
    chosen = (settings.l2, settings.learning_rate)
    full = next(trial for trial in trials if (trial.l2, trial.learning_rate) == chosen)
    return [*(bench.try_out(settings, photos) for photos in range(1, most)), full]


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials as CSV for `dvc plots`, a row a trial; without trials the header alone."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Trial.__dataclass_fields__)
        for trial in trials:
            writer.writerow([f"{value:.6g}" for value in asdict(trial).values()])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
