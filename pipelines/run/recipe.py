"""What `distill.recipe: published` stands for: the one table, for every stage that goes by it."""

from typing import Final

from pipelines.run.params import Params

# arXiv 2510.12014's own procedure. What it does not fix stays as params.yaml has it, and what is
# left out on purpose is a list in docs/distillation.md.
PUBLISHED: Final[dict[str, dict[str, object]]] = {
    "tournaments": {"group_size": 2, "repeats": 1},  # pairwise, one winner
    "label": {
        "groups": 1050,
        "band_edges": (0.7, 0.9, 0.95),
        "band_sizes": (1, 1, 1, 2),  # five pictures a call
        "candidates": 1,  # drawn evenly from their band
    },
    "distill": {
        "train": "whole",
        "labels": "own",
        "mirror": False,
        "caption_views": 0.0,
        "epochs": 1,
        "loss": "bradley-terry-sum",
        "temperature": 1.0,
        "retention_weight": 0.0,
        "retention_texts": 0.0,
        "schedule": "decay",
        "learning_rate": 1e-6,
        "weight_decay": 0.01,  # PyTorch's default for AdamW; the paper names no other
        "grad_clip": 1.0,
        "spans": (1.0,),
        "blends": (1.0,),
        "patience": 5,
    },
}
MOST_CYCLES: Final = 30  # DVC reads the cycles from params.yaml, so a recipe cannot set them


def resolve_recipe(params: Params) -> Params:
    """The parameters that a stage goes by: `published` replaces what the paper fixes."""
    if params.distill.recipe == "default":
        return params
    content = params.model_dump(by_alias=True)
    for section, fixed in PUBLISHED.items():
        content[section] |= fixed
    return Params.model_validate(content)
