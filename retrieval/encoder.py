"""The embedding model: an image tower and a text tower that meet in one space.

A model folder is open_clip's own form (`open_clip_config.json`, `open_clip_model.safetensors`)
with the tokenizer and the text tower's configuration beside them, so that it loads offline,
alone, from wherever it was moved to.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import transformers
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from retrieval.detail import register_detail
from retrieval.efficientnet import PREPROCESSING, TIMM_NAME, load_imagenet
from retrieval.minilm import minilm_folder
from retrieval.storage.files import atomic_folder, read_json
from retrieval.text.tokenizing import TURN

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
MODEL_CONFIGS = Path(__file__).parent / "model_configs"
IMAGENET = "imagenet"  # `pretrained`: the image tower of retrieval/efficientnet.py
BATCH = 256  # pictures of up to 128 x 128; fewer where they are larger
TEXTS = 64
DECODERS = 4  # threads that open picture files: Pillow decodes outside the interpreter's lock


@dataclass(frozen=True)
class Encoder:
    """A model with what it needs to read pictures and texts. N inputs, D width, S picture side."""

    model: Any  # open_clip's CustomTextCLIP: towers .visual and .text
    tokenize: Any  # open_clip's tokenizer; see `retrieval.text.tokenizing`
    config: dict[str, Any]  # open_clip's model_cfg
    device: str

    @property
    def width(self) -> int:
        """D."""
        return int(self.config["embed_dim"])

    @property
    def batch(self) -> int:
        """How many pictures are computed at once."""
        size = self.model.visual.preprocess_cfg["size"]
        height, width = (size, size) if isinstance(size, int) else size
        return max(1, min(BATCH, BATCH * 128 * 128 // (height * width)))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit text vectors (N, D), in eval mode, fp32."""
        self.model.eval()
        # Texts of like length meet in a batch, so that little padding is computed.
        order_N = np.argsort([len(text) for text in texts], kind="stable")
        with torch.no_grad():
            batches = [
                self.model.encode_text(self.tokens([texts[at] for at in rows]), normalize=True)
                for rows in np.split(order_N, range(TEXTS, len(order_N), TEXTS))
                if len(rows)
            ]
        vectors_ND = self._stack(batches)
        return vectors_ND[np.argsort(order_N, kind="stable")] if len(order_N) else vectors_ND

    def encode_images(self, images: Iterable[Image.Image]) -> NDArray[np.float32]:
        """Unit image vectors (N, D) of RGB pictures, in eval mode, fp32."""
        pixels = [self.pixels(image) for image in images]
        return self.encode_pixels(torch.stack(pixels) if pixels else torch.empty(0))

    def encode_pixels(self, pixels_N3SS: torch.Tensor) -> NDArray[np.float32]:
        """Unit image vectors (N, D) of what `pixels` and `read_pixels` give."""
        self.model.eval()
        with torch.no_grad():
            batches = [
                self.model.encode_image(
                    self.normalised(pixels_N3SS[start : start + self.batch]), normalize=True
                )
                for start in range(0, len(pixels_N3SS), self.batch)
            ]
        return self._stack(batches)

    def encode_files(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """Unit image vectors (N, D) of picture files; no more than a batch of them is in memory."""
        batches = [
            self.encode_pixels(self.read_pixels(paths[start : start + self.batch]))
            for start in range(0, len(paths), self.batch)
        ]
        return np.concatenate(batches) if batches else self._stack([])

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids (N, L) on the model's device; padding that a mask hides is cut: it is exact."""
        with TURN:
            ids: torch.Tensor = self.tokenize(list(texts))
        if "hf_model_name" in self.config["text_cfg"]:
            pad = self.model.text.config.pad_token_id
            ids = ids[:, : int((ids != pad).sum(dim=1).max())]
        return ids.to(self.device)

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """One RGB picture, resized and cropped for the image tower: uint8 (3, S, S)."""
        for step in self._transforms()[:-2]:  # the last two make floats and normalise
            image = step(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    def read_pixels(self, paths: Sequence[Path]) -> torch.Tensor:
        """Picture files, as `pixels` gives them: uint8 (N, 3, S, S)."""

        def read(path: Path) -> torch.Tensor:
            with Image.open(path) as image:
                return self.pixels(image.convert("RGB"))

        with ThreadPoolExecutor(DECODERS) as pool:
            return torch.stack(list(pool.map(read, paths)))

    def normalised(self, pixels_N3SS: torch.Tensor) -> torch.Tensor:
        """uint8 pixels as the image tower takes them: float, normalised, on its device."""
        normalise = self._transforms()[-1]
        pixels = pixels_N3SS.to(self.device, memory_format=torch.channels_last)
        scaled: torch.Tensor = normalise(pixels.float() / 255)
        return scaled

    def _transforms(self) -> list[Any]:
        config = PreprocessCfg(**self.model.visual.preprocess_cfg)
        transforms: list[Any] = image_transform_v2(config, is_train=False).transforms
        return transforms

    def _stack(self, batches: list[torch.Tensor]) -> NDArray[np.float32]:
        if not batches:
            return np.empty((0, self.width), dtype=np.float32)
        return torch.cat(batches).float().cpu().numpy()


def create_encoder(model: str, pretrained: str | None, device: str = "cpu") -> Encoder:
    """Build a model by name.

    Args:
        model: A configuration in `retrieval/model_configs`, or a model name of open_clip.
        pretrained: None builds the frozen MiniLM text tower and an untrained image tower;
            `imagenet` the same with an image tower that has seen photographs, its head untrained;
            otherwise an open_clip tag or a path to weights, loaded as they are.
        device: Where the model runs.

    Raises:
        ValueError: There is no such model, or with `pretrained` None its text tower is not MiniLM,
            or with `imagenet` its image tower another one.
        FileNotFoundError: The weights or the tokenizer cannot be had; the message names which.
        RuntimeError: A file of weights is not of this model.
    """
    open_clip.add_model_config(MODEL_CONFIGS)
    config = open_clip.get_model_config(model)
    if config is None:
        msg = f"got model {model!r}, expected one of {open_clip.list_models()}"
        raise ValueError(msg)
    if pretrained == IMAGENET and config["vision_cfg"].get("timm_model_name") != TIMM_NAME:
        msg = (
            f"got pretrained: {IMAGENET} with model {model!r}, expected minilm-efficientnet-lite0:"
            " there are ImageNet weights for its image tower only"
        )
        raise ValueError(msg)
    if pretrained is not None and pretrained != IMAGENET:
        built, tokenizer = _foreign_model(model, pretrained, device)
        return _encoder(built, tokenizer, {**config, "custom_text": True}, device)
    if "hf_model_name" not in config["text_cfg"]:
        msg = (
            f"got pretrained: null with model {model!r}, whose text tower would be untrained;"
            " name an open_clip tag or a file of weights, or use minilm-resnet10t"
        )
        raise ValueError(msg)
    source = str(minilm_folder())
    text_config = {**config["text_cfg"], "hf_model_name": source}
    photographs = pretrained == IMAGENET
    with _quiet():
        built = open_clip.create_model(
            model,
            device=device,
            text_cfg=text_config,
            force_preprocess_cfg=PREPROCESSING if photographs else None,
        )
    if photographs:
        load_imagenet(built.visual.trunk)
    return _encoder(built, _tokenizer(source, config), config, device)


def _foreign_model(model: str, pretrained: str, device: str) -> tuple[Any, Any]:
    tokenizer = _foreign_tokenizer(model)
    try:
        with _quiet():
            built = open_clip.create_model(model, pretrained, device=device, force_custom_text=True)
    except (RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) and Path(pretrained).is_file():
            raise  # of another model: the message names the tensors
        reason = str(error).strip().splitlines()[0]
        msg = (
            f"got model {model!r} with weights {pretrained!r}, and they cannot be had"
            f" ({reason}); expected a path to a file of weights, or one of the tags"
            f" {open_clip.list_pretrained_tags_by_model(model)}, which need the hub once"
        )
        raise FileNotFoundError(msg) from error
    return built, tokenizer


def _foreign_tokenizer(model: str) -> Any:
    try:
        with _quiet():
            return open_clip.get_tokenizer(model)
    except (RuntimeError, OSError) as error:
        name = open_clip.get_model_config(model)["text_cfg"].get("hf_tokenizer_name")
        reason = str(error).strip().splitlines()[0]
        msg = (
            f"got model {model!r}, and its tokenizer {name} cannot be had ({reason}); expected it"
            f" in the hub's cache, for which the hub is needed once, or in a folder {name} here"
        )
        raise FileNotFoundError(msg) from error


def load_encoder(folder: Path, device: str = "cpu") -> Encoder:
    """Load a model folder; nothing outside it is read.

    Raises:
        FileNotFoundError: The folder, its configuration or its weights are missing.
        ValueError: A file of the folder is not what it should be.
        RuntimeError: A tensor is missing, unexpected or of another shape.
    """
    folder = folder.resolve()
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            msg = f"{folder / name} is missing: {folder} is no model folder; run `dvc repro`"
            raise FileNotFoundError(msg)
    config = _read_config(folder)
    register_detail()
    overrides: dict[str, Any] = {}
    if "hf_model_name" in config["text_cfg"]:
        # The stored name is relative to the folder; transformers would resolve it from here.
        here = {"hf_model_name": str(folder), "hf_model_pretrained": False}
        overrides = {"text_cfg": {**config["text_cfg"], **here}}
    try:
        with _quiet():
            model = open_clip.create_model(f"local-dir:{folder}", device=device, **overrides)
    except SafetensorError as error:
        msg = f"{folder / WEIGHTS} is damaged ({error}); run `dvc repro`"
        raise ValueError(msg) from error
    if "hf_tokenizer_name" in config["text_cfg"]:
        return _encoder(model, _tokenizer(str(folder), config), config, device)
    return _encoder(model, open_clip.get_tokenizer(f"local-dir:{folder}"), config, device)


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write a model folder, atomically."""
    config = json.loads(json.dumps(encoder.config))
    with atomic_folder(folder) as temporary:
        if "hf_model_name" in config["text_cfg"]:
            config["text_cfg"]["hf_model_name"] = "."
            encoder.model.text.config.save_pretrained(temporary)
        if "hf_tokenizer_name" in config["text_cfg"]:
            config["text_cfg"]["hf_tokenizer_name"] = "."
            encoder.tokenize.save_pretrained(temporary)
        content = {"model_cfg": config, "preprocess_cfg": encoder.model.visual.preprocess_cfg}
        (temporary / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        tensors = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in encoder.model.state_dict().items()
        }
        save_file(tensors, temporary / WEIGHTS)


def _read_config(folder: Path) -> dict[str, Any]:
    content = read_json(folder / CONFIG)
    config = content.get("model_cfg") if isinstance(content, dict) else None
    if not isinstance(config, dict) or "text_cfg" not in config:
        msg = f"{folder / CONFIG}: got no model_cfg with a text_cfg, expected open_clip's form"
        raise ValueError(msg)
    return config


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' remarks off the terminal; what goes wrong is raised, not logged."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        transformers.logging.set_verbosity(verbosity)


def _tokenizer(source: str, config: dict[str, Any]) -> Any:
    text = config["text_cfg"]
    return HFTokenizer(
        source, context_length=text["context_length"], **text.get("tokenizer_kwargs", {})
    )


def _encoder(model: Any, tokenizer: Any, config: dict[str, Any], device: str) -> Encoder:
    model.visual.to(memory_format=torch.channels_last)
    model.eval().requires_grad_(requires_grad=False)
    return Encoder(model, tokenizer, config, device)
