"""An evaluation made by hand, and the gate on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.storage.schema import QUERIES
from validation.gate import Verdict
from validation.limits import RetrievalLimits
from validation.retrieval import Evidence, check_retrieval
from validation.retrieval_champion import Comparison, Uncompared
from validation.retrieval_champion_suites import IndexTrial

LIMITS = RetrievalLimits(
    min_queries=30,
    min_slice_queries=20,
    confidence=0.95,
    min_mean_percentile=0.8,
    min_within_kind_percentile=0.6,
    min_recall_at_10=0.1,
    min_slice_percentile=0.6,
    min_caption_recall_at_10=0.9,
    min_concept_map=0.6,
    min_context_mrr=0.6,
    min_concept_caption_recall_at_10=0.9,
    min_gain=0.0,
    max_drop=0.01,
    max_held_out_drop=0.0,
    max_slice_drop=0.05,
    max_caption_drop=0.05,
    max_concept_drop=0.05,
    min_index_agreement=0.95,
)
LEVELS = {"random": 0.5, "base": 0.75, "text": 0.7, "student": 0.9, "ceiling": 0.95}


def make(personas: int = 40, seed: int = 0, **levels: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for model, level in {**LEVELS, **levels}.items():
        for number in range(personas):
            slices = {"relation": "uncle" if number < personas // 2 else "aunt"}
            percentile = float(np.clip(level + rng.normal(scale=0.02), 0, 1))
            rank = 101 - 100 * percentile
            rank_and_place = (rank, 101, percentile, float("nan"), float("nan"), float("nan"))
            rows.append((f"p{number}", "original", model, "x1", *rank_and_place, slices, []))
    return pd.DataFrame(rows, columns=QUERIES.names)


def metrics_of(queries: pd.DataFrame, base: float = 1.0, student: float = 0.97) -> dict[str, Any]:
    means = queries.groupby("model")["percentile"].mean()
    rest = {"within_kind_percentile": 0.8, "recall@10": 0.4}
    persona = {str(model): {"mean_percentile": float(mean)} | rest for model, mean in means.items()}
    recalls = {"base": base, "student": student}
    caption = {model: {"recall@1": value, "recall@10": value} for model, value in recalls.items()}
    return {"persona": persona, "caption": caption, "concept": concepts_of()}


def concepts_of(alone: float = 0.9, scene: float = 0.95, captions: float = 0.99) -> dict[str, Any]:
    """As the evaluation has them."""
    found = {"concept_only": {"map": alone}, "context": {"mrr": scene}}
    return {"kindred": found, "caption_recall@10": {"unmodified": 1.0, "adapted": captions}}


FOUND = IndexTrial(1.0)


def judge(
    tmp_path: Path,
    queries: pd.DataFrame,
    metrics: Any = None,
    champion: Comparison | Uncompared | None = None,
    index: IndexTrial = FOUND,
    limits: RetrievalLimits = LIMITS,
) -> Verdict:
    metrics = metrics_of(queries) if metrics is None else metrics
    evidence = Evidence(queries, metrics, index, champion)
    return check_retrieval(evidence, limits, tmp_path / "docs", {}).judged.verdict


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}
