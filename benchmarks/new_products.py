"""What a product that no teacher ever ranked loses beside those that one did rank.

The winners of held-out personas are held-out products: no label had them. Each is ranked among the
other held-out products, and among the products that labels were about; what it stands lower there
than here is what the labels' own products gain from having been in labels. For student and base
model, apart for kinds of product that labels had and for those that they had not.

    python -m benchmarks.new_products                  # the champion
    python -m benchmarks.new_products --version 3
"""

from typing import Literal

import numpy as np

from benchmarks.measured import markdown
from benchmarks.served import chosen, described
from registry.bundle import Bundle, HeldOutQuery
from retrieval.metrics import percentile, rank_of

MODELS: tuple[Literal["base", "student"], ...] = ("base", "student")
KINDS = ("seen", "unseen")


def mean_percentile(
    bundle: Bundle, model: Literal["base", "student"], queries: list[HeldOutQuery], split: str
) -> float:
    """Of the queries' winners among themselves and the products of a split, in percent."""
    vectors, texts = bundle.read_vectors(model), bundle.read_text_vectors("queries")
    if texts is None:
        raise SystemExit("the bundle has no vectors of queries: run `dvc repro` again")
    rivals = [p.product_id for p in bundle.read_products() if p.split == split]
    texts_QD = texts.rows([query.persona_id for query in queries])
    winners_QD = vectors.rows([query.winner for query in queries])
    own_Q1 = (texts_QD * winners_QD).sum(axis=1, keepdims=True)
    others_QC = texts_QD @ vectors.rows(rivals).T
    is_winner_QC = np.array(rivals)[None] == np.array([query.winner for query in queries])[:, None]
    scores_QC = np.concatenate([own_Q1, np.where(is_winner_QC, -np.inf, others_QC)], axis=1)
    ranks_Q = rank_of(scores_QC, np.zeros(len(queries), np.intp))
    return 100 * float(percentile(ranks_Q, 1 + (~is_winner_QC).sum(axis=1)).mean())


def main() -> None:
    """Print the table."""
    bundle, _ = chosen(described(__doc__))
    rows = []
    for kinds in KINDS:
        queries = [query for query in bundle.read_queries() if query.slices.get("kinds") == kinds]
        if not queries:
            continue
        for model in MODELS:
            among = [mean_percentile(bundle, model, queries, split) for split in ("test", "train")]
            numbers = [*(f"{value:.1f}" for value in among), f"{among[1] - among[0]:+.1f}"]
            rows.append([f"{kinds} ({len(queries)})", model, *numbers])
    header = ["kinds in labels", "model", "among held-out, %", "among labelled, %", "difference"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
