"""The base model in a bundle: what of it differs from the student, a few tensors of many.

Distillation trains a part of the image tower, and the rest is the same in both. So a bundle carries
the student whole, and of the base model it came from the tensors that are other there.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from retrieval.storage.files import atomic_file, read_json

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

BASE_MODEL = Path("base/differs.safetensors")
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def write_difference(base: Path, student: Path, target: Path) -> None:
    """Write the tensors of the base model that differ from the student's.

    Args:
        base: Its model folder.
        student: The same.
        target: The file to write.

    Raises:
        FileNotFoundError: A model folder lacks its configuration or its weights.
        ValueError: The student is no model of the base model's form.
    """
    if read_json(base / CONFIG) != read_json(student / CONFIG):
        raise ValueError(_not_of_one_form(base, student, f"their {CONFIG} differ"))
    with _tensors(base / WEIGHTS) as ours, _tensors(student / WEIGHTS) as theirs:
        names, known = set(ours.keys()), set(theirs.keys())
        if names != known:
            raise ValueError(_not_of_one_form(base, student, f"tensors {sorted(names ^ known)}"))
        found = {}
        for name in sorted(names):
            tensor, other = ours.get_tensor(name), theirs.get_tensor(name)
            if tensor.shape != other.shape:
                raise ValueError(_not_of_one_form(base, student, f"the shape of {name}"))
            if tensor.tobytes() != other.tobytes():
                found[name] = tensor
    with atomic_file(target) as draft:
        # `save_file` lets nobody else read it, and of a full disk raises an error of its own.
        draft.write_bytes(save(found))


def lay_over(encoder: "Encoder", path: Path) -> None:
    """Turn the student into the base model, in place.

    Args:
        encoder: The student.
        path: What `write_difference` wrote.

    Raises:
        ValueError: The file is damaged, or of another model.
    """
    from safetensors.torch import load_file

    try:
        tensors = load_file(path, encoder.device)
        found = encoder.model.load_state_dict(tensors, strict=False)
    except (SafetensorError, RuntimeError) as error:
        msg = f"{path} is no difference to this model: {error}; register the version again"
        raise ValueError(msg) from error
    if found.unexpected_keys:
        msg = (
            f"{path}: got tensors {found.unexpected_keys[:5]} that the model does not have;"
            " register the version again"
        )
        raise ValueError(msg)


def _tensors(path: Path) -> Any:
    if not path.is_file():
        msg = f"{path} is missing: no model folder; run `dvc repro`"
        raise FileNotFoundError(msg)
    return safe_open(path, framework="numpy")


def _not_of_one_form(base: Path, student: Path, fault: str) -> str:
    return f"{base} and {student} are no base model and its student: {fault}; run `dvc repro` again"
