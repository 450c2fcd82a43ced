"""A model folder by its files alone: nothing in it can read a picture."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def write_tiny_model(folder: Path, visual: float = 0.0) -> None:
    """Configuration and weights; `visual` is all that an image tower learned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text('{"model_cfg": {"vision_cfg": {}}}')
    weights = {"text.w": np.ones(2, np.float32), "visual.w": np.full(2, visual, np.float32)}
    save_file(weights, folder / "open_clip_model.safetensors")
