"""Personal concepts: a rank-one update of the text tower's last value projection.

V' = V + B A with A of unit norm (arXiv 2506.10182), learned from a few photos, stored as a PEFT
adapter of rank 1 whose base model is the text tower. d tower width, D embedding width, P prompts.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import parametrize

from retrieval.encoder import Encoder
from retrieval.files import atomic_folder, read_json
from retrieval.losses import concept_fit
from retrieval.text_tower import Prefix, TextTower

DESCRIPTION = "concept.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PROMPTS = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "{}",
    "here is {}",
    "this is {}",
    "one can see {} here",
    "a close look at {}",
    "{} in a photo",
    "a good photo of {}",
    "a snapshot that shows {}",
    "look, {}",
    "a view of {}",
)


@dataclass(frozen=True)
class Concept:
    """A concept: 2 d numbers, and the words that stand for it in a query."""

    name: str
    noun: str  # the class: "mug"
    identifier: str  # the rare word: "sks"
    a_d: torch.Tensor  # unit norm
    b_d: torch.Tensor

    @property
    def phrase(self) -> str:
        """What takes the concept's place in a query: "sks mug"."""
        return f"{self.identifier} {self.noun}"


@dataclass(frozen=True)
class Settings:
    """How a concept is learned: full-batch Adam on `losses.concept_fit`."""

    steps: int
    learning_rate: float
    l2: float


class _UnitNorm(nn.Module):
    """Renormalises A in every forward, as the paper does."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        unit: torch.Tensor = weight / weight.norm()
        return unit

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return weight


def learn(
    tower: TextTower, concept: Concept, images_PD: NDArray[np.float32], settings: Settings
) -> tuple[Concept, list[float]]:
    """Learn a concept's update from the image vectors of its photos.

    Only the last layer runs in each step; PEFT holds the two factors.

    Args:
        tower: The text tower; unchanged afterwards.
        concept: Where to start: A at its start, B zero (see `new_concept`).
        images_PD: One unit image vector per photo.
        settings: Steps, learning rate, lambda.

    Returns:
        The concept with its learned factors, and the loss of every step.

    Raises:
        ValueError: There are no photos, or more than prompts.
    """
    if not 1 <= len(images_PD) <= len(PROMPTS):
        msg = f"concept {concept.name}: got {len(images_PD)} photos, expected 1 to {len(PROMPTS)}"
        raise ValueError(msg)
    order = _generator(concept.name).permutation(len(PROMPTS))[: len(images_PD)]
    prefix = tower.prefix([PROMPTS[number].format(concept.phrase) for number in order])
    target_PD = torch.from_numpy(images_PD).to(tower.encoder.device)
    losses = []
    with _adapter(tower, concept) as (_, down, up):
        parametrize.register_parametrization(down, "weight", _UnitNorm())
        optimizer = torch.optim.Adam([*down.parameters(), up.weight], lr=settings.learning_rate)
        for _ in range(settings.steps):
            loss = concept_fit(tower.finish(prefix), target_PD, up.weight, settings.l2)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        a_d, b_d = (layer.weight.detach().flatten().clone() for layer in (down, up))
    return Concept(concept.name, concept.noun, concept.identifier, a_d, b_d), losses


def new_concept(name: str, noun: str, identifier: str, width: int) -> Concept:
    """A concept that changes nothing yet: A random of unit norm, by name; B zero.

    Args:
        name: What its owner calls it.
        noun: Its class.
        identifier: The rare word.
        width: d.
    """
    a_d = torch.from_numpy(_generator(name).standard_normal(width)).float()
    return Concept(name, noun, identifier, a_d / a_d.norm(), torch.zeros(width))


def save_concept(concept: Concept, tower: TextTower, folder: Path) -> None:
    """Write a PEFT adapter folder, with the concept's words beside the factors; atomically."""
    words = {"name": concept.name, "noun": concept.noun, "identifier": concept.identifier}
    with atomic_folder(folder) as temporary, _adapter(tower, concept) as (model, _, _up):
        model.save_pretrained(str(temporary))
        (temporary / "README.md").unlink(missing_ok=True)  # PEFT's form, not filled in
        config = json.loads((temporary / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = None  # PEFT writes a path of this machine
        (temporary / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
        (temporary / DESCRIPTION).write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8")


def load_concept(folder: Path, encoder: Encoder) -> Concept:
    """Read an adapter folder that `save_concept` or PEFT wrote for this encoder's text tower.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A tensor is missing, unexpected, of another shape or not finite, or the
            adapter is not of rank 1 with weight 1.
    """
    words, config = read_json(folder / DESCRIPTION), read_json(folder / ADAPTER_CONFIG)
    tower = TextTower(encoder)
    prefix = f"base_model.model.{tower.value_path}"
    d = tower.value.in_features
    expected = {f"{prefix}.lora_A.weight": (1, d), f"{prefix}.lora_B.weight": (d, 1)}
    try:
        tensors = load_file(folder / ADAPTER_WEIGHTS, device=encoder.device)
    except SafetensorError as error:
        msg = f"{folder / ADAPTER_WEIGHTS} is damaged ({error}); learn the concept again"
        raise ValueError(msg) from error
    got = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if got != expected or (rank, alpha) != (1, 1):
        msg = (
            f"{folder}: got tensors {got}, rank {rank}, alpha {alpha}; expected {expected}, 1, 1:"
            " this concept belongs to another model, learn it again"
        )
        raise ValueError(msg)
    a_d, b_d = (tensors[key].flatten() for key in expected)
    if not (a_d.isfinite().all() and b_d.isfinite().all()):
        msg = f"{folder}: got a factor that is not finite; learn the concept again"
        raise ValueError(msg)
    return Concept(words["name"], words["noun"], words["identifier"], a_d, b_d)


def place(text: str, concepts: Sequence[Concept]) -> str:
    """Put the concepts' phrases where `{name}` stands, or in front of a text that names none.

    Raises:
        ValueError: An identifier is already a word of the text.
    """
    for concept in concepts:
        if concept.identifier.casefold() in re.findall(r"\w+", text.casefold()):
            msg = f"the word {concept.identifier!r} stands for concepts; use another in {text!r}"
            raise ValueError(msg)
    for concept in reversed(concepts):
        slot = f"{{{concept.name}}}"
        text = text.replace(slot, concept.phrase) if slot in text else f"{concept.phrase} {text}"
    return text


def encode_with_concepts(
    encoder: Encoder, text: str, concepts: Sequence[Concept]
) -> NDArray[np.float32]:
    """Unit vector (D,) of a query that names concepts; their updates are added.

    Raises:
        ValueError: As `place`.
    """
    tower = TextTower(encoder)
    prefix = tower.prefix([place(text, concepts)])
    vector: NDArray[np.float32] = finish_with(tower, prefix, concepts)[0]
    return vector


def finish_with(
    tower: TextTower, prefix: Prefix, concepts: Sequence[Concept]
) -> NDArray[np.float32]:
    """Unit vectors (B, D) of prepared texts (`tower.prefix`) with the updates switched on."""
    with torch.no_grad(), _updates(tower, concepts):
        vectors_BD = tower.finish(prefix)
    vectors: NDArray[np.float32] = np.asarray(vectors_BD.cpu(), dtype=np.float32)
    return vectors


def _updates(tower: TextTower, concepts: Sequence[Concept]) -> AbstractContextManager[None]:
    if not concepts:
        return nullcontext()
    a_Kd = torch.stack([concept.a_d for concept in concepts]).to(tower.encoder.device)
    b_Kd = torch.stack([concept.b_d for concept in concepts]).to(tower.encoder.device)
    return tower.updated(a_Kd, b_Kd)


@contextmanager
def _adapter(tower: TextTower, concept: Concept) -> Iterator[tuple[Any, Any, Any]]:
    """The tower under PEFT with the concept's factors: model, A's layer, B's layer; then undone."""
    from peft import LoraConfig, get_peft_model

    target = f"^{tower.value_path.replace('.', '[.]')}$"
    config = LoraConfig(r=1, lora_alpha=1, target_modules=target, bias="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # transformers' own renaming, met by PEFT
        model = get_peft_model(tower.root, config)
    try:
        layer: Any = tower.root.get_submodule(tower.value_path)
        down, up = layer.lora_A["default"], layer.lora_B["default"]
        down.weight.data.copy_(concept.a_d[None])
        up.weight.data.copy_(concept.b_d[:, None])
        yield model, down, up
    finally:
        model.unload()


def _generator(name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
