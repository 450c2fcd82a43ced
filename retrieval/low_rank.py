"""Low-rank updates of an image tower's last blocks: W' = W + B A, rank r (LoRA, arXiv 2106.09685).

PEFT adapts every linear layer, convolution and attention in those blocks and behind them; a
projection that is a bare parameter, as open_clip's vision transformer has, stays as it is. Merged,
the tower is a plain one again.
"""

import re
from typing import Any

import torch
from torch import nn

from retrieval.image_tower import SplitTower
from retrieval.tower_blocks import block_names, split_before_block

ADAPTED = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)


class LowRank:
    """Updates of a tower, which is changed in place until `merge`."""

    def __init__(self, visual: Any, trained: int, rank: int) -> None:
        """Put updates of rank `rank` on the last `trained` blocks; at first they change nothing.

        Args:
            visual: The image tower; all its own parameters are frozen.
            trained: How many of its last blocks.
            rank: r, above 0.

        Raises:
            ValueError: As `split_before_block`.
        """
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        self._split = split_before_block(visual, trained)
        pattern = "|".join(re.escape(name) for name in _targets(visual, trained))
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=f"^(?:{pattern})$")
        self._model = LoraModel(visual, config, "default")
        self._visual = visual

    def tower(self) -> SplitTower:
        """The tower with its updates; `head_parameters` are theirs, A and B of each layer."""
        updates = [p for name, p in self._visual.named_parameters() if "lora_" in name]
        frozen = [p for name, p in self._visual.named_parameters() if "lora_" not in name]
        return SplitTower(self._split.trunk, self._split.head, frozen, updates)

    def merge(self) -> None:
        """Add the updates to the weights and take the adapters off; the tower is a plain one."""
        with torch.no_grad():
            self._model.merge_and_unload()


def _targets(visual: Any, trained: int) -> list[str]:
    """Names of the layers to adapt; what lies inside an attention goes with it."""
    names = block_names(visual)
    inside = (*names.blocks[len(names.blocks) - trained :], *names.after)
    found: list[str] = []
    for name, module in visual.named_modules():
        below = any(name == part or name.startswith(f"{part}.") for part in inside)
        within = any(name.startswith(f"{other}.") for other in found)
        if below and not within and isinstance(module, ADAPTED):
            found.append(name)
    return found
