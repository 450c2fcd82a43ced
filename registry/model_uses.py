"""The card's "Used by": a version in the hands of each tool that can take it, ready to paste."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.efficientnet import DETAIL_NAME
from retrieval.storage.files import read_json

_TEXT = "a gift for a mother who loves gardening"
_NOT_OPEN_CLIP = (
    "open_clip alone does not load `model/`, whose image tower (`retrieval/detail.py`) is none of"
    " its own; the Python line above does, without a network."
)
_TEXT_CFG = """\
text_cfg = json.loads(Path("model/open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
text_cfg |= {"hf_model_name": "model", "hf_model_pretrained": False}  # it lies there too
"""


@dataclass(frozen=True)
class Towers:
    """What `model/` is made of, as far as others must know it."""

    image: str  # timm's name of it; empty where it is open_clip's
    text: Mapping[str, Any]  # open_clip's text_cfg

    @property
    def open_clip_loads(self) -> bool:
        """Whether open_clip alone can load them."""
        return self.image != DETAIL_NAME


def read_towers(config: Path) -> Towers:
    """From `open_clip_config.json`; nothing is known where there is none."""
    content = read_json(config)["model_cfg"] if config.is_file() else {}
    image = content.get("vision_cfg", {}).get("timm_model_name", "")
    return Towers(str(image), content.get("text_cfg", {}))


def render_uses(name: str, concepts: Sequence[str], towers: Towers) -> list[str]:
    """Blocks of Markdown.

    Args:
        name: The registered model.
        concepts: Those of the evaluation.
        towers: What the model is made of.
    """
    return [
        "Python and open_clip read `model/` in the folder of this card; the other ways are for a"
        " version that was promoted (`kindred promote`).",
        *_block("Python, with Kindred's code:", "python", _python()),
        *_block("HTTP, after `kindred serve`:", "sh", _http()),
        *_block("MLflow (texts become unit vectors):", "python", _mlflow(name, concepts)),
        *_block(
            "BentoML (`kindred package` makes the Bento, which needs no registry):",
            "sh",
            f"kindred package --name {name}\nbentoml serve {name}:latest",
        ),
        *_open_clip(towers),
    ]


def _python() -> str:
    return (
        "from pathlib import Path; from retrieval.encoder import load_encoder;"
        f" vectors = load_encoder(Path('model')).encode_texts([{_TEXT!r}])"
    )


def _http() -> str:
    body = json.dumps({"query": _TEXT, "k": 3})
    return (
        "curl -s http://127.0.0.1:3000/v1/search -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )


def _mlflow(name: str, concepts: Sequence[str]) -> str:
    lines = [
        "import mlflow, pandas",
        f'model = mlflow.pyfunc.load_model("models:/{name}@champion")',
        f'vectors = model.predict(pandas.DataFrame({{"text": ["{_TEXT}"]}}))',
    ]
    if concepts:
        about = f'{{"text": ["on a beach"], "concept": ["{concepts[0]}"]}}'
        lines.append(f"about_a_concept = model.predict(pandas.DataFrame({about}))")
    return "\n".join(lines)


def _open_clip(towers: Towers) -> list[str]:
    if not towers.open_clip_loads:
        return [_NOT_OPEN_CLIP]
    own = "hf_model_name" in towers.text
    length = towers.text.get("context_length", 77)
    code = (
        ("import json\nfrom pathlib import Path\n" if own else "")
        + "import open_clip\n"
        + (_TEXT_CFG if own else "")
        + "model, _, preprocess = open_clip.create_model_and_transforms(\n"
        + f'    "local-dir:model"{", text_cfg=text_cfg" if own else ""}\n)\n'
        + (
            f'tokenize = open_clip.tokenizer.HFTokenizer("model", context_length={length})\n'
            if "hf_tokenizer_name" in towers.text
            else 'tokenize = open_clip.get_tokenizer("local-dir:model")\n'
        )
        + f'vectors = model.eval().encode_text(tokenize(["{_TEXT}"]), normalize=True).detach()'
    )
    return _block("open_clip:", "python", code)


def _block(title: str, language: str, code: str) -> list[str]:
    return [title, f"```{language}\n{code}\n```"]
