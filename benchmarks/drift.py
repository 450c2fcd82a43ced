"""When the service warns that queries have drifted: the statistic for queries of several kinds.

Each draw compares so many queries of a kind with the version's held-out wishes, as the service
does. Texts about something else are the sentences of this project's documentation.

    python -m benchmarks.drift                  # the champion
    python -m benchmarks.drift --version 3 --draws 50
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import markdown
from benchmarks.served import chosen, described
from registry.bundle import Bundle
from services.search.drift import compare, nearest

DOCS = Path(__file__).parents[1] / "docs"
COUNTS = (100, 500)  # queries: as many as a warning takes, and a whole window
WORDS = (5, 30)  # of a sentence

Draw = Callable[[np.random.Generator, int], NDArray[np.float32]]  # so many vectors (N, D)


def sentences() -> list[str]:
    """What the documentation says, without tables, code and lists."""
    found = []
    for path in sorted(DOCS.glob("*.md")):
        text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S)
        for paragraph in text.split("\n\n"):
            if not paragraph.lstrip().startswith(("|", "#", "-", "!", ">")):
                found += re.split(r"(?<=[.?!])\s+", " ".join(paragraph.split()))
    return [one for one in found if WORDS[0] <= len(one.split()) <= WORDS[1]]


def drawn_from(vectors_ND: NDArray[np.float32]) -> Draw:
    """Rows of these, with replacement."""
    return lambda rng, count: vectors_ND[rng.integers(0, len(vectors_ND), count)]


def half_of_each(one: Draw, other: Draw) -> Draw:
    """Half from the one, half from the other."""
    return lambda rng, count: np.concatenate([one(rng, count // 2), other(rng, count // 2)])


def kinds(bundle: Bundle) -> dict[str, Draw]:
    """What is asked, by name."""
    queries, captions = bundle.read_text_vectors("queries"), bundle.read_text_vectors("captions")
    if queries is None or captions is None:
        raise SystemExit("the bundle has no vectors of texts: run `dvc repro` again")
    unseen = [q.persona_id for q in bundle.read_queries() if q.slices.get("interests") == "unseen"]
    held_out = drawn_from(queries.vectors)
    strange = drawn_from(bundle.load_encoder().encode_texts(sentences()))
    found = {"held-out personas, all kinds (the yardstick itself)": held_out}
    if unseen:
        found["held-out personas of kinds without a training wish"] = drawn_from(
            queries.rows(unseen)
        )
    found["half about something else, half held-out"] = half_of_each(strange, held_out)
    found["captions of products"] = drawn_from(captions.vectors)
    found["sentences of this documentation"] = strange
    return found


def measure(bundle: Bundle, draw: Draw, count: int, draws: int) -> tuple[list[float], float]:
    """The statistic's 1st, 50th and 99th percentile over draws, and the share that warns."""
    wishes, held_out = bundle.read_text_vectors("wishes"), bundle.read_text_vectors("queries")
    if wishes is None or held_out is None:
        raise SystemExit("the bundle has no vectors of wishes: run `dvc repro` again")
    known_H = nearest(held_out.vectors, wishes.vectors)
    found = [
        compare(nearest(draw(np.random.default_rng(seed), count), wishes.vectors), known_H)
        for seed in range(draws)
    ]
    quantiles = np.percentile([one.statistic for one in found], (1, 50, 99))
    return quantiles.tolist(), sum(bool(one.warning) for one in found) / draws


def main() -> None:
    """Print the table."""
    parser = described(__doc__)
    parser.add_argument("--draws", type=int, default=300, metavar="N", help="default: 300")
    bundle, options = chosen(parser)
    rows = []
    for name, draw in kinds(bundle).items():
        told, shares = [], []
        for count in COUNTS:
            quantiles, warned = measure(bundle, draw, count, options.draws)
            told.append(", ".join(f"{value:.2f}" for value in quantiles))
            shares.append(f"{warned:.0%}")
        rows.append([name, f"{told[0]} ({told[1]})", f"{shares[0]} ({shares[1]})"])
    counted = f"{COUNTS[0]} ({COUNTS[1]}) queries; 1st, 50th, 99th percentile"
    print(markdown([counted, "statistic", "warns"], rows))


if __name__ == "__main__":
    main()
