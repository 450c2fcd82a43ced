"""Ways to teach a concept, on the studio's subjects, in one run: what the rank-one update is worth.

The subjects are rendered anew for each seed, into a temporary folder; nothing of the project
changes. Each way learns from the same photos with the same prompts and steps, and is measured on
the subjects on which no setting was chosen, with lambda and learning rate as stage `concepts` chose
them. Median and range over the seeds.

    python -m benchmarks.concept_baselines                    # seeds 0, 1 and 2
    python -m benchmarks.concept_baselines --seeds 5 --steps 50
    python -m benchmarks.concept_baselines --model models/student
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from pipelines.run.params import load_params
from pipelines.run.paths import PRODUCTS_FILE, STUDENT_MODEL, product_vectors, stage_metrics
from pipelines.run.stage import derive_seed
from pipelines.studio.catalogue import render_all
from pipelines.studio.subjects import plan_subjects
from pipelines.subjects.lessons import queries_of, references_by_concept, reported_subjects
from pipelines.subjects.measure import (
    caption_recall,
    encode_kindred,
    encode_text_only,
    fill,
    measure,
)
from retrieval.captions import caption_ranks
from retrieval.concepts.concept import new_concept
from retrieval.concepts.learning import Settings, prompts_for
from retrieval.concepts.teaching import Lesson, teach
from retrieval.encoder import Encoder, load_encoder
from retrieval.metrics import recall_at
from retrieval.storage.files import read_json
from retrieval.storage.schema import PRODUCTS, read_rows
from retrieval.storage.vectors import read_vectors
from retrieval.text.tower import TextTower

BATCH = 64  # texts
CAPTIONS = 300  # of the test split
COLUMNS = ("alone: mAP", "scene: mRR", "scene: R@1", "two: mRR", "captions R@10")
Numbers = dict[str, list[float]]


@dataclass(frozen=True)
class Studio:
    """A seed's subjects; G gallery pictures, Q queries, D embedding width."""

    lessons: list[Lesson]
    gallery: list[dict]
    gallery_GD: np.ndarray
    queries: list[dict]

    @property
    def names(self) -> list[str]:
        """The subjects, in order."""
        return [lesson.start.name for lesson in self.lessons]

    def owners(self) -> list[list[int]]:
        """The concepts of each query, by number."""
        return [[self.names.index(name) for name in query["concepts"]] for query in self.queries]

    def texts(self) -> list[str]:
        """The queries with the identifiers in them."""
        phrase = {lesson.start.name: lesson.start.phrase for lesson in self.lessons}
        return [fill(q["text"], [phrase[name] for name in q["concepts"]]) for q in self.queries]


def make_studio(tower: TextTower, count: int, seed: int, identifier: str) -> Studio:
    """Render a seed's subjects and encode the gallery."""
    with tempfile.TemporaryDirectory() as place:
        plan = plan_subjects(count, derive_seed(seed, "catalog", "subjects"))
        path = {row["row_id"]: Path(place) / f"{row['row_id']}.jpg" for row, _ in plan}
        render_all([(path[row["row_id"]], picture) for row, picture in plan if picture])
        rows = [row for row, _ in plan]
        references = references_by_concept(rows)
        names = reported_subjects(list(references))
        lessons = []
        for name in names:
            photos = [Image.open(path[row["row_id"]]).convert("RGB") for row in references[name]]
            noun = references[name][0]["noun"]
            start = new_concept(name, noun, identifier, tower.width)
            lessons.append(Lesson(start, tuple(photos)))
        gallery = [row for row in rows if row["role"] == "gallery"]
        pixels = tower.encoder.read_pixels([path[row["row_id"]] for row in gallery])
    return Studio(lessons, gallery, tower.encoder.encode_pixels(pixels), queries_of(rows, names))


class LinearUpdates:
    """Rank-one updates B A of some linear layers, of each concept its own; C concepts, width d."""

    def __init__(self, layers: Sequence[nn.Linear], lessons: Sequence[Lesson]) -> None:
        """Start as the product does: A by name, B zero."""
        self._layers = layers
        starts_Cd = torch.cat([lesson.start.a_Rd for lesson in lessons])
        self._a_MCd = starts_Cd.repeat(len(layers), 1, 1).requires_grad_()
        self.b_MCd = torch.zeros_like(self._a_MCd).requires_grad_()
        self.parameters = [self._a_MCd, self.b_MCd]

    @contextmanager
    def switched(self, _: torch.Tensor, rows: Sequence[Sequence[int]]) -> Iterator[None]:
        """Inside, each row of a batch has the updates of its concepts."""
        one_hot = torch.zeros(len(rows), self.b_MCd.shape[1])
        for number, concepts in enumerate(rows):
            one_hot[number, list(concepts)] = 1
        with ExitStack() as stack:
            for a_Cd, b_Cd, layer in zip(self._a_MCd, self.b_MCd, self._layers, strict=True):
                unit_Cd = a_Cd / a_Cd.norm(dim=-1, keepdim=True)

                def add(
                    _: nn.Module,
                    inputs: tuple[torch.Tensor],
                    output: torch.Tensor,
                    unit_Cd: torch.Tensor = unit_Cd,
                    b_Cd: torch.Tensor = b_Cd,
                ) -> torch.Tensor:
                    return output + (inputs[0] @ unit_Cd.T * one_hot[:, None]) @ b_Cd

                stack.callback(layer.register_forward_hook(add).remove)
            yield

    def penalty(self) -> torch.Tensor:
        """mean(B^2) of each concept, added up."""
        return self.b_MCd.square().mean(dim=(0, 2)).sum()


class TokenEmbeddings:
    """Textual inversion (arXiv 2208.01618): vectors in place of the identifier's word pieces."""

    def __init__(self, encoder: Encoder, lessons: Sequence[Lesson]) -> None:
        """Start at the identifier's own embedding."""
        identifier = lessons[0].start.identifier
        longer, shorter = (encoder.tokenize([text])[0] for text in (f"{identifier} a", "a"))
        pieces = int((longer != 0).sum() - (shorter != 0).sum())
        self._ids = longer[1 : 1 + pieces].tolist()
        self._table = encoder.model.text.transformer.get_input_embeddings()
        start_Td = self._table.weight[self._ids].detach()
        self._vectors_CTd = start_Td.repeat(len(lessons), 1, 1).requires_grad_()
        self.parameters = [self._vectors_CTd]

    @contextmanager
    def switched(self, ids_BL: torch.Tensor, rows: Sequence[Sequence[int]]) -> Iterator[None]:
        """Inside, the identifier's n-th place in a row has the vectors of its n-th concept."""
        places, vectors = [], []
        length = len(self._ids)
        for number, (ids, concepts) in enumerate(zip(ids_BL.tolist(), rows, strict=True)):
            found = [at for at in range(len(ids)) if ids[at : at + length] == self._ids]
            for at, concept in zip(found, concepts, strict=False):
                places += [(number, at + piece) for piece in range(length)]
                vectors.append(self._vectors_CTd[concept])

        def replace(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
            if not places:
                return output
            row, column = torch.tensor(places).T
            return output.index_put((row, column), torch.cat(vectors))

        handle = self._table.register_forward_hook(replace)
        try:
            yield
        finally:
            handle.remove()

    def penalty(self) -> torch.Tensor:
        """None: what is learned is no update."""
        return self._vectors_CTd.new_zeros(())


Method = LinearUpdates | TokenEmbeddings


def embed(
    encoder: Encoder, method: Method, texts: Sequence[str], rows: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Unit vectors of texts, the whole text tower run, each with its concepts."""
    ids_BL = encoder.tokens(texts)
    with method.switched(ids_BL, rows):
        return encoder.model.encode_text(ids_BL, normalize=True)


def embed_all(
    encoder: Encoder, method: Method, texts: Sequence[str], rows: Sequence[Sequence[int]]
) -> np.ndarray:
    """As `embed`, in batches, without gradients."""
    with torch.no_grad():
        parts = [
            embed(encoder, method, texts[at : at + BATCH], rows[at : at + BATCH]).numpy()
            for at in range(0, len(texts), BATCH)
        ]
    return np.concatenate(parts)


def fit(encoder: Encoder, method: Method, lessons: Sequence[Lesson], settings: Settings) -> None:
    """Adam on the product's objective, by full forward passes, all concepts in one batch."""
    targets = [encoder.encode_images(lesson.photos) for lesson in lessons]
    texts = [
        prompt
        for lesson in lessons
        for prompt in prompts_for(lesson.start, len(lesson.photos), settings.prompts_per_photo)
    ]
    rows = [
        [number]
        for number, some in enumerate(targets)
        for _ in range(len(some) * settings.prompts_per_photo)
    ]
    target = torch.from_numpy(
        np.concatenate([some.repeat(settings.prompts_per_photo, axis=0) for some in targets])
    )
    share = torch.tensor([1 / len(targets[number]) for [number] in rows])
    optimizer = torch.optim.Adam(method.parameters, lr=settings.learning_rate)
    for _ in range(settings.steps):
        error = (embed(encoder, method, texts, rows) - target).square().mean(dim=-1)
        loss = (share / settings.prompts_per_photo * error).sum() + settings.l2 * method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def kept(encoder: Encoder, method: Method, count: int, captions: list, images: np.ndarray) -> float:
    """Caption recall@10 with one concept on, averaged over concepts."""
    found = []
    for number in range(count):
        texts_ND = embed_all(encoder, method, captions, [[number]] * len(captions))
        found.append(recall_at(caption_ranks(texts_ND, images, captions), 10))
    return float(np.mean(found))


def image_means(studio: Studio, encoder: Encoder) -> np.ndarray:
    """Queries as the mean of the photos, whatever else they say."""
    means = np.stack(
        [encoder.encode_images(lesson.photos).mean(axis=0) for lesson in studio.lessons]
    )
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    vectors = np.stack([means[row].sum(axis=0) for row in studio.owners()])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def numbers(studio: Studio, vectors_QD: np.ndarray, captions: float) -> list[float]:
    """A row of the table."""
    found = measure(studio.gallery, studio.gallery_GD, studio.queries, vectors_QD, distractors=True)
    context = found["context"]
    alone, two = found["concept_only"]["map"], found["multi"]["mrr"]
    return [alone, context["mrr"], context["recall@1"], two, captions]


def run(tower: TextTower, studio: Studio, settings: Settings) -> Numbers:
    """Every way on one seed's subjects."""
    encoder = tower.encoder
    products = [row for row in read_rows(PRODUCTS_FILE, PRODUCTS) if row["split"] == "test"]
    products = products[:CAPTIONS]
    captions = [row["caption"] for row in products]
    images = read_vectors(product_vectors("student")).rows([row["product_id"] for row in products])
    nouns = {lesson.start.name: lesson.start.noun for lesson in studio.lessons}
    plain = recall_at(caption_ranks(encoder.encode_texts(captions), images, captions), 10)
    table = {
        "text only: class noun": numbers(
            studio, encode_text_only(tower, studio.queries, nouns), plain
        ),
        "mean of the photos": numbers(studio, image_means(studio, encoder), float("nan")),
    }
    layers = encoder.model.text.transformer.encoder.layer
    values = [layer.attention.self.value for layer in layers]
    ways: dict[str, Callable[[], Method]] = {
        "textual inversion": lambda: TokenEmbeddings(encoder, studio.lessons),
        "query, last layer": lambda: LinearUpdates(
            [layers[-1].attention.self.query], studio.lessons
        ),
        "value, all layers": lambda: LinearUpdates(values, studio.lessons),
    }
    for name, make in ways.items():
        method = make()
        fit(encoder, method, studio.lessons, settings)
        vectors = embed_all(encoder, method, studio.texts(), studio.owners())
        recall = kept(encoder, method, len(studio.lessons), captions, images)
        table[name] = numbers(studio, vectors, recall)
    for name, pairs in (("value, last layer", 0), ("value, last layer, pairs (ours)", 2)):
        concepts, _ = teach(tower, studio.lessons, settings, pairs)
        by_name = {concept.name: concept for concept in concepts}
        recall = statistics.fmean(caption_recall(tower, captions, images, concepts)[1])
        table[name] = numbers(studio, encode_kindred(tower, studio.queries, by_name), recall)
    return table


def main() -> None:
    """Run every seed and print the table."""
    params = load_params()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--subjects", type=int, default=params.catalog.subjects)
    parser.add_argument("--steps", type=int, default=params.concepts.steps)
    parser.add_argument("--model", type=Path, default=STUDENT_MODEL)
    given = parser.parse_args()
    torch.set_num_threads(params.compute.threads)
    chosen = read_json(stage_metrics("concepts"))["teaching"]["settings"]
    rate, l2 = chosen["learning_rate"], chosen["l2"]
    settings = Settings(given.steps, rate, l2, tolerance=params.concepts.tolerance)
    tower = TextTower(load_encoder(given.model))
    tables = []
    for seed in given.seeds:
        began = time.perf_counter()
        studio = make_studio(tower, given.subjects, seed, params.concepts.identifier)
        tables.append(run(tower, studio, settings))
        print(f"seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
    print(f"lambda {l2}, learning rate {rate}, {given.steps} steps, median [range]")
    print(f"| way | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for way in tables[0]:
        cells = []
        for column in zip(*(table[way] for table in tables), strict=True):
            middle = statistics.median(column)
            spread = f"{middle:.3f} [{min(column):.3f}-{max(column):.3f}]"
            cells.append("-" if math.isnan(middle) else spread)
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
