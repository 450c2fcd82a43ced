"""How fast the service reads texts, in fp32 and bf16, and what bf16 changes of the hits.

On a registered version, or with `--model` on a random one of that name (open_clip's), for its time
alone. Texts are the version's held-out personas. open_clip's own way, which pads texts, the
service's, which does not, and the service's in bf16 (`KINDRED_PRECISION`) take turns.

    python -m benchmarks.text_precision                    # the challenger, or the champion
    python -m benchmarks.text_precision --model ViT-B-32
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from benchmarks.measured import Rows, describe_machine, timed
from benchmarks.served import chosen, described
from registry.bundle import Bundle
from retrieval.concepts.queries import encode_queries
from retrieval.encoder import Encoder, create_encoder
from retrieval.index.exact import ExactIndex
from retrieval.text.tower import TextTower

TURNS = 5
TOGETHER = (1, 32)
TEXTS = 64  # for the clock
K = 10
OPEN_CLIP = "open_clip, padded"

Reader = Callable[[Sequence[str]], NDArray[np.float32]]  # (Q, D)


def ways_of(encoder: Encoder) -> Mapping[str, Reader]:
    """The ways to read texts, by their names."""
    tower = TextTower(encoder)
    rounding = tower.with_bfloat16_prefix()
    return {
        OPEN_CLIP: encoder.encode_texts,
        "fp32": lambda texts: encode_queries(tower, texts, [()] * len(texts)),
        "bf16": lambda texts: encode_queries(rounding, texts, [()] * len(texts)),
    }


def read(way: Reader, texts: Sequence[str], together: int) -> NDArray[np.float32]:
    """Unit vectors (Q, D) of texts, so many at once."""
    return np.concatenate([way(texts[at : at + together]) for at in range(0, len(texts), together)])


def measure_time(ways: Mapping[str, Reader], texts: Sequence[str], rows: Rows) -> None:
    """Milliseconds a text, and how many times as fast as the way before it each is."""
    for together in TOGETHER:
        took: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(TURNS + 1):  # the first is a warm-up
            for name, way in ways.items():
                seconds = timed(partial(read, way, texts, together))[0]
                if turn:
                    took[name].append(1000 * seconds / len(texts))
        for name, each in took.items():
            rows.add(f"{together} at once, {name}", each, "ms a text")
        for before, name in pairwise(ways):
            gains = [slow / fast for slow, fast in zip(took[before], took[name], strict=True)]
            rows.add(f"{together} at once, {name}: times as fast as {before}", gains)


def compare_hits(ways: Mapping[str, Reader], bundle: Bundle, rows: Rows) -> None:
    """What bf16 changes of the answers, among the held-out products."""
    queries = bundle.read_queries()
    texts = [query.text for query in queries]
    vectors = {name: read(ways[name], texts, 32) for name in ("fp32", "bf16")}
    cosines = (vectors["fp32"] * vectors["bf16"]).sum(axis=1)
    rows.add("1 - cosine of a text's two vectors, at most", [float(1 - cosines.min())])
    for name, vectors_QD in vectors.items():
        apart = np.abs(read(ways[name], texts[:TEXTS], 1) - vectors_QD[:TEXTS]).max()
        rows.add(f"{name}, read alone or with others: largest difference", [float(apart)])
    ids = [product.product_id for product in bundle.read_products() if product.split == "test"]
    index = ExactIndex(ids, bundle.read_vectors("student").rows(ids))
    hits = {name: index.search(vectors_QD, K) for name, vectors_QD in vectors.items()}
    same = [
        len({id_ for id_, _ in one} & {id_ for id_, _ in other}) / K
        for one, other in zip(hits["fp32"], hits["bf16"], strict=True)
    ]
    rows.add(
        f"of the first {K} hits the same, mean of {len(texts)} texts",
        [100 * statistics.mean(same)],
        "%",
    )
    for name, lists in hits.items():
        found = [
            query.winner in {id_ for id_, _ in ranked}
            for query, ranked in zip(queries, lists, strict=True)
        ]
        rows.add(f"winner among the first {K}, {name}", [100 * statistics.mean(found)], "%")


def random_encoder(name: str) -> Encoder:
    """A model of open_clip's with random weights."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
        weights = Path(folder) / "weights.pt"
        torch.save(open_clip.create_model(name).state_dict(), weights)
        return create_encoder(name, str(weights))


def main() -> None:
    """Read the arguments, and measure."""
    parser = described(__doc__)
    parser.add_argument("--model", metavar="NAME", help="random weights of this model")
    bundle, options = chosen(parser)
    print(describe_machine())
    rows = Rows()
    encoder = random_encoder(options.model) if options.model else bundle.load_encoder()
    ways = ways_of(encoder)
    measure_time(ways, [query.text for query in bundle.read_queries()][:TEXTS], rows)
    if not options.model:
        compare_hits(ways, bundle, rows)


if __name__ == "__main__":
    main()
