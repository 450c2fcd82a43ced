"""Stage `tournaments`: who wins for held-out personas among held-out products.

data/personas.parquet, data/catalog/products.parquet -> data/tournaments.parquet

Validation personas judge validation products, test personas test products.

Run:  dvc repro tournaments
Tiny: python -m pipelines.tournaments, after tournaments.max_test_personas: 5 in params.yaml
"""

from typing import Any

from pipelines.knockout import knockout
from pipelines.params import Params, load_params
from pipelines.paths import PERSONAS_FILE, PRODUCTS_FILE, TOURNAMENTS_FILE
from pipelines.stage import derive_seed, progress, say, stage_lock
from pipelines.teachers.factory import make_teacher
from retrieval.schema import PERSONAS, PRODUCTS, TOURNAMENTS, read_rows, write_rows

Rows = list[dict[str, Any]]


def hold_tournaments(params: Params, personas: Rows, products: Rows, split: str) -> Rows:
    """One knockout a persona of the split, over all products of the split.

    Raises:
        SystemExit: The split has no persona, or fewer than two products.
    """
    limits = params.tournaments
    most = {"val": limits.max_val_personas, "test": limits.max_test_personas}[split]
    judges = [persona for persona in personas if persona["split"] == split][:most]
    candidates = [product for product in products if product["split"] == split]
    if not judges or len(candidates) < 2:
        msg = (
            f"got {len(judges)} personas and {len(candidates)} products in split {split}, expected"
            " 1 and 2 at least: add more, or raise the split's share in catalog.split"
        )
        raise SystemExit(msg)
    teacher = make_teacher(params, judges, candidates)
    ids = [product["product_id"] for product in candidates]
    rows = []
    for judge in progress(judges, f"tournaments {split}"):
        persona = judge["persona_id"]
        seed = derive_seed(params.seed, "tournaments", persona)
        outcome = knockout(teacher, persona, ids, seed, params.tournaments.max_calls_per_match)
        rows.append(
            {
                "persona_id": persona,
                "split": split,
                "winner": outcome.winner,
                "calls": outcome.calls,
                "undecided": outcome.undecided,
                "teacher": teacher.name,
            }
        )
    return rows


def main() -> None:
    """Read, hold the tournaments of both splits, write."""
    params = load_params()
    with stage_lock("tournaments"):
        personas = read_rows(PERSONAS_FILE, PERSONAS)
        products = read_rows(PRODUCTS_FILE, PRODUCTS)
        rows = hold_tournaments(params, personas, products, "val")
        rows += hold_tournaments(params, personas, products, "test")
        write_rows(TOURNAMENTS_FILE, rows, TOURNAMENTS)
        calls = sum(row["calls"] for row in rows)
        say(f"{len(rows)} tournaments held in {calls} calls of the {rows[0]['teacher']} teacher")


if __name__ == "__main__":
    main()
