"""Concepts on disk: a PEFT adapter folder, readable by PEFT and read from it.

The adapter's base is `peft_base`; `concept.json` beside it names the words, and the digest of the
text tower that the concept belongs to.
"""

import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from retrieval.concepts.concept import Concept, ConceptWarning
from retrieval.encoder import Encoder
from retrieval.storage.files import atomic_folder, read_json, write_json
from retrieval.text.tower import TextTower

DESCRIPTION = "concept.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Options of LoraConfig that make an adapter something else than W + (alpha / r) B A.
_OTHER = (
    "alpha_pattern",
    "arrow_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
)


def save_concept(concept: Concept, tower: TextTower, folder: Path) -> None:
    """Write a PEFT adapter folder, with the concept's words beside the factors; atomically.

    Raises:
        ValueError: The concept belongs to another model.
    """
    if concept.base not in ("", tower.digest):
        msg = f"concept {concept.name} belongs to another model version; learn it again"
        raise ValueError(msg)
    rank = len(concept.a_Rd)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": None,  # a place of this machine means nothing elsewhere
        "target_modules": f"^{tower.value_path.replace('.', '[.]')}$",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    words = {"name": concept.name, "noun": concept.noun, "identifier": concept.identifier}
    key_a, key_b = _keys(tower)
    with atomic_folder(folder) as temporary:
        factors = {key_a: concept.a_Rd.contiguous(), key_b: concept.b_Rd.T.contiguous()}
        save_file(factors, temporary / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        write_json(temporary / ADAPTER_CONFIG, config)
        write_json(temporary / DESCRIPTION, {**words, "base": tower.digest})


def load_concept(folder: Path, encoder: Encoder) -> Concept:
    """Read a folder that `save_concept` wrote for this encoder's text tower.

    A folder of an earlier release names no base model: it is taken if its tensors fit.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The concept belongs to another model, or as `load_adapter`.

    Warns:
        ConceptWarning: The folder names no base model.
    """
    words = read_json(folder / DESCRIPTION)
    missing = {"name", "noun", "identifier"} - words.keys()
    if missing:
        msg = f"{folder / DESCRIPTION}: got no {', '.join(sorted(missing))}; learn it again"
        raise ValueError(msg)
    base = words.get("base")
    if base is None:
        warnings.warn(
            f"{folder} names no base model; it is taken to belong to this one",
            ConceptWarning,
            stacklevel=2,
        )
    elif base != TextTower(encoder).digest:
        msg = f"{folder}: this concept belongs to another model ({base[:12]}), learn it again"
        raise ValueError(msg)
    return load_adapter(folder, encoder, words["name"], words["noun"], words["identifier"])


def load_adapter(folder: Path, encoder: Encoder, name: str, noun: str, identifier: str) -> Concept:
    """Read an adapter that PEFT trained on `peft_base`: any rank, its scaling put into B.

    Args:
        folder: As PEFT's `save_pretrained` writes it.
        encoder: The model that it was trained on, which PEFT does not record.
        name: What its owner calls it.
        noun: Its class.
        identifier: The word that stood for it in training.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A tensor is missing, unexpected, of another shape or not finite, or the adapter
            is no plain LoRA.
    """
    tower = TextTower(encoder)
    rank, scaling = _read_config(folder)
    try:
        tensors = load_file(folder / ADAPTER_WEIGHTS)
    except SafetensorError as error:
        msg = f"{folder / ADAPTER_WEIGHTS} is damaged ({error}); learn the concept again"
        raise ValueError(msg) from error
    key_a, key_b = _keys(tower)
    expected = {key_a: (rank, tower.width), key_b: (tower.width, rank)}
    got = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if got != expected:
        msg = (
            f"{folder}: got tensors {got}, expected {expected}: this concept belongs to another"
            " model, learn it again"
        )
        raise ValueError(msg)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        msg = f"{folder}: got a factor that is not finite; learn the concept again"
        raise ValueError(msg)
    a_Rd, b_Rd = tensors[key_a].float(), tensors[key_b].float().T * scaling
    return Concept(name, noun, identifier, a_Rd, b_Rd.contiguous(), tower.digest)


def _keys(tower: TextTower) -> tuple[str, str]:
    """PEFT's names of A and B."""
    prefix = f"base_model.model.{tower.value_path}"
    return f"{prefix}.lora_A.weight", f"{prefix}.lora_B.weight"


def _read_config(folder: Path) -> tuple[int, float]:
    """Rank, and by what the product of the factors is multiplied."""
    config: dict[str, Any] = read_json(folder / ADAPTER_CONFIG)
    other = [key for key in _OTHER if config.get(key)]
    other += [f"bias {config['bias']}"] if config.get("bias", "none") != "none" else []
    if config.get("peft_type") != "LORA" or other:
        kind = config.get("peft_type")
        msg = f"{folder}: got a {kind} adapter with {other or 'its own form'}, expected plain LoRA"
        raise ValueError(msg)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not (isinstance(rank, int) and rank >= 1 and isinstance(alpha, int | float)):
        msg = f"{folder}: got rank {rank} and alpha {alpha}, expected numbers"
        raise ValueError(msg)
    return rank, alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
