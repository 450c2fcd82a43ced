"""By what the gates judge: sections `check_personas`, `check_labels`, `check_retrieval` of params.

What each number means is written there, beside its value.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Limits(BaseModel):
    """Numbers that do not change, none of them unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PersonaLimits(Limits):
    """Of the gate on personas."""

    min_personas: Count
    min_split: Count
    max_words: Count
    max_interest_share: Share
    max_naming_share: Share


class LabelLimits(Limits):
    """Of the gate on labels."""

    min_rankings: Count
    min_personas: Count
    max_failure_rate: Share
    max_unasked_share: Share
    min_coverage: Annotated[int, Field(ge=0)]
    min_covered_share: Share
    max_product_share: Share
    sampling_errors: NonNegative
    max_position_v: Share
    max_rank_shift: NonNegative
    min_repeat_tau: Annotated[float, Field(ge=-1, le=1)]
    min_pair_agreement: Share
    max_cyclic_share: Share
    min_triples: Count
    max_winner_drift: Share
    min_truth_agreement: Share


class RegressionLimits(Limits):
    """By how much a candidate may fall below a champion.

    The defaults are for verdicts of releases that did not record theirs.
    """

    max_drop: Share = 0.01
    max_slice_drop: Share = 0.05
    max_caption_drop: Share = 0.05
    max_concept_drop: Share = 0.05
    min_slice_queries: Annotated[int, Field(ge=2)] = 20
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95


class RetrievalLimits(Limits):
    """Of the gate on a model."""

    min_queries: Count
    min_slice_queries: Annotated[int, Field(ge=2)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    min_mean_percentile: Share
    min_within_kind_percentile: Share
    min_recall_at_10: Share
    min_slice_percentile: Share
    min_caption_recall_at_10: Share
    min_concept_map: Share
    min_context_mrr: Share
    min_concept_caption_recall_at_10: Share
    min_gain: Annotated[float, Field(ge=-1, le=1)]
    max_drop: Share
    max_held_out_drop: Share
    max_slice_drop: Share
    max_caption_drop: Share
    max_concept_drop: Share
    min_index_agreement: Share

    @property
    def regression(self) -> RegressionLimits:
        """Those that a champion is compared by."""
        return RegressionLimits(
            max_drop=self.max_drop,
            max_slice_drop=self.max_slice_drop,
            max_caption_drop=self.max_caption_drop,
            max_concept_drop=self.max_concept_drop,
            min_slice_queries=self.min_slice_queries,
            confidence=self.confidence,
        )
