"""The plain way to learn a concept, for `concepts.py`; and towers and photos to learn them on.

One concept after another, the last layer (or the whole tower) by autograd in every step.
B texts, L tokens, P photos, d width of the tower, D of the embedding, R rank.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import text_global_pool

from retrieval.concepts.concept import Concept, new_concept
from retrieval.concepts.learning import Settings, prompts_for
from retrieval.concepts.objective import concept_fit
from retrieval.concepts.peft_base import peft_base
from retrieval.encoder import Encoder, create_encoder
from retrieval.text.tower import TextTower

PHOTOS = 5  # a concept
SCENES = ("on a wooden table", "at the beach", "in the snow", "beside a window at night")
NOUNS = ("mug", "dog", "toy car", "umbrella", "armchair", "teapot", "backpack", "garden gnome")


def make_tower(name: str) -> TextTower:
    """A text tower of open_clip's with random weights, or MiniLM; without its image tower."""
    torch.manual_seed(0)
    if name == "MiniLM":
        return TextTower(create_encoder("minilm-resnet10t", None))
    config = open_clip.get_model_config(name)
    # SigLIP's own tokenizer is on the hub; CLIP's gives ids up to 49,407.
    text = {**config["text_cfg"], "vocab_size": 49_408, "hf_tokenizer_name": None}
    model = open_clip.create_model(name, text_cfg=text, force_custom_text=True)
    del model.visual
    model.eval().requires_grad_(requires_grad=False)
    tokenizer = open_clip.SimpleTokenizer(context_length=text["context_length"])
    return TextTower(Encoder(model, tokenizer, {**config, "text_cfg": text}, "cpu"))


def make_concepts(tower: TextTower, count: int) -> tuple[list[Concept], list[np.ndarray]]:
    """Concepts to learn: nouns and names of their own, photos that resemble each other."""
    random = np.random.default_rng(0)
    starts = [
        new_concept(f"c{number}", NOUNS[number % len(NOUNS)], "sks", tower.width)
        for number in range(count)
    ]
    photos = random.standard_normal((count, 1, tower.encoder.width))
    photos = photos + 0.3 * random.standard_normal((count, PHOTOS, tower.encoder.width))
    return starts, list((photos / np.linalg.norm(photos, axis=-1, keepdims=True)).astype("f4"))


class PlainLoop:
    """The plain loop; the update is added to the value as PEFT does, W itself never changes."""

    def __init__(self, tower: TextTower) -> None:
        """Take a copy of the tower, its value projection apart."""
        self._tower, self._text = tower, tower.encoder.model.text
        self._base = peft_base(tower).requires_grad_(requires_grad=False).eval()
        self._value = self._base.get_submodule(tower.value_path)

    def whole(self, ids_BL: torch.Tensor) -> Callable[[], torch.Tensor]:
        """The whole tower in every step."""
        if not isinstance(self._text, HFTextEncoder):
            return lambda: self._base(ids_BL)
        mask_BL = (ids_BL != self._text.config.pad_token_id).long()

        def run() -> torch.Tensor:
            output = self._base(input_ids=ids_BL, attention_mask=mask_BL)
            return self._text.proj(self._text.pooler(output, mask_BL))

        return run

    def last_layer(self, ids_BL: torch.Tensor, cut: bool) -> Callable[[], torch.Tensor]:
        """The whole last layer in every step, on all positions or without the padding."""
        base, block = self._base, self._base.transformer.resblocks[-1]
        length = int(ids_BL.argmax(dim=1).max()) + 1 if cut else ids_BL.shape[1]
        caught = []
        hook = block.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
        with torch.no_grad():
            base(ids_BL)
        hook.remove()
        x_BLd, mask_LL = caught[0][:, :length], base.attn_mask[:length, :length]

        def run() -> torch.Tensor:
            hidden_BLd = base.ln_final(block(x_BLd, attn_mask=mask_LL))
            return text_global_pool(hidden_BLd, ids_BL, base.pool_type) @ base.text_projection

        return run

    def learn(
        self, start: Concept, photos_PD: np.ndarray, settings: Settings, form: str
    ) -> tuple[Concept, list[float]]:
        """Adam by autograd, as published."""
        ids_BL = self._tower.encoder.tokens(prompts_for(start, len(photos_PD), 1))
        run = self.whole(ids_BL) if form == "whole" else self.last_layer(ids_BL, form == "cut")
        target_PD = torch.from_numpy(photos_PD)
        raw_Rd, b_Rd = start.a_Rd.clone().requires_grad_(), start.b_Rd.clone().requires_grad_()
        optimizer = torch.optim.Adam([raw_Rd, b_Rd], lr=settings.learning_rate)
        losses = []
        hook = self._value.register_forward_hook(
            lambda _, inputs, output: output + inputs[0] @ (raw_Rd / raw_Rd.norm()).T @ b_Rd
        )
        for _ in range(settings.steps):
            loss = concept_fit(F.normalize(run(), dim=-1), target_PD, b_Rd, settings.l2)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        hook.remove()
        unit_Rd = (raw_Rd / raw_Rd.norm()).detach()
        return replace(start, a_Rd=unit_Rd, b_Rd=b_Rd.detach()), losses
