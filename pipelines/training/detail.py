"""The residual of retrieval/detail.py: where a catalogue's pictures differ, and texts do not.

P: the first principal directions of the training pictures' features, whitened, since what is rare
tells two pictures apart as well as what is frequent. Q: as many directions of the embedding space,
those in which texts have the least: what is added there hardly moves the score of a text.

T texts, N pictures, F width of the features, D embedding width, K directions.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from open_clip.timm_model import TimmModel
from torch import nn

from retrieval.detail import WIDTH, register_detail
from retrieval.efficientnet import DETAIL_NAME
from retrieval.encoder import Encoder

MOST = 128  # K
WORDS = 2000


def add_detail(
    encoder: Encoder, features_NF: torch.Tensor, texts: Sequence[torch.Tensor], beta: float
) -> Encoder:
    """A model with the residual from one of EfficientNet-Lite0 without; they share trunk and head.

    Args:
        encoder: Its head has learned from captions.
        features_NF: The trunk's, of training pictures.
        texts: Unit vectors (T, D) of the catalogue's training texts, by sort; frequent words of the
            language join them, since a catalogue's own texts leave most directions empty.
        beta: The residual's weight, above 0; the head's is 1.
    """
    words_TD = torch.from_numpy(encoder.encode_texts(frequent_words(encoder)))
    detail_DF = detail_map(features_NF.cpu(), [*texts, words_TD])
    visual = encoder.model.visual
    register_detail()
    made = TimmModel(DETAIL_NAME, WIDTH, visual.image_size, proj="linear")
    tower = made.trunk
    tower.trunk, tower.head = visual.trunk, visual.head
    tower.mean_F.copy_(features_NF.mean(dim=0))
    tower.detail_DF.copy_(detail_DF)
    tower.beta.fill_(beta)
    nn.init.eye_(made.head.proj.weight)
    made.preprocess_cfg = visual.preprocess_cfg
    made.to(encoder.device, memory_format=torch.channels_last)
    encoder.model.visual = made.eval().requires_grad_(requires_grad=False)
    vision = {
        **encoder.config["vision_cfg"],
        "timm_model_name": DETAIL_NAME,
        "timm_proj": "linear",
    }
    return replace(encoder, config={**encoder.config, "vision_cfg": vision})


def detail_map(features_NF: torch.Tensor, texts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Q P, (D, F).

    K is 128, or as many as the pictures or a third of the embedding space have.

    Args:
        features_NF: Of training pictures, two at least.
        texts: Unit vectors (T, D) of several sorts of text; each sort counts the same.
    """
    centred_NF = (features_NF - features_NF.mean(dim=0)).double()
    variances_F, directions_FF = torch.linalg.eigh(centred_NF.T @ centred_NF / len(centred_NF))
    # Second moments, not variances: what all texts share must not meet the residual either.
    moments = [texts_TD.double().T @ texts_TD.double() / len(texts_TD) for texts_TD in texts]
    _, quiet_DD = torch.linalg.eigh(torch.stack(moments).sum(dim=0))  # rising: the least first
    count = min(MOST, len(centred_NF) - 1, centred_NF.shape[1], len(quiet_DD) // 3)
    scale_K = variances_F[-count:].clamp(min=1e-12).sqrt()
    found_DF: torch.Tensor = quiet_DD[:, :count] @ (directions_FF[:, -count:] / scale_K).T
    return found_DF.float()


def frequent_words(encoder: Encoder) -> list[str]:
    """The tokenizer's first whole words; vocabularies begin with the most frequent."""
    numbers = encoder.tokenize.tokenizer.get_vocab()
    words = [word for word in sorted(numbers, key=numbers.get) if word.isalpha() and len(word) > 2]
    return words[:WORDS]
