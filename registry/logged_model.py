"""Log a bundle as an MLflow model: a pyfunc with its code, requirements and digest."""

import io
from contextlib import redirect_stderr
from importlib import metadata
from pathlib import Path
from typing import Any

from registry import tracking
from registry.bundle import Bundle
from registry.headlines import headlines

DIGEST_TAG = "bundle_sha256"
_PYFUNC = Path(__file__).with_name("pyfunc_model.py")
# What `retrieval` imports to encode a text with the bundle's model.
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "open_clip_torch",
    "peft",
    "pillow",
    "pyarrow",
    "pydantic",
    "safetensors",
    "torch",
    "torchvision",
    "transformers",
)


def log_bundle(bundle: Bundle) -> Any:
    """Log a run that carries `bundle` as a pyfunc, and return the logged model.

    A process killed before it registers the model leaves it behind; the next one logs its own,
    because nothing but a check of every file could tell that what was left is complete.
    """
    import mlflow

    inputs = {"bundle": bundle.digest}
    with tracking.training_run("register", params={}, inputs=inputs):
        # It warns that inputs are not validated, which is meant so; errors are raised.
        with redirect_stderr(io.StringIO()):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_PYFUNC),
                artifacts={"bundle": str(bundle.folder)},
                code_paths=[str(code_folder())],
                pip_requirements=pinned_requirements(),
                input_example=_example(bundle),
                tags={DIGEST_TAG: bundle.digest},
            )
        mlflow.log_metrics(headlines(bundle.metrics), model_id=info.model_id)
    return mlflow.MlflowClient().get_logged_model(info.model_id)


def _example(bundle: Bundle) -> list[dict[str, str]]:
    """What an input looks like: a text, and one with a concept where the version has any."""
    example = [{"text": "a gift for a mother who loves gardening"}]
    return example + [{"text": "on a beach", "concept": name} for name in bundle.concept_names[:1]]


def code_folder() -> Path:
    """The package that the model carries."""
    import retrieval

    return Path(str(retrieval.__file__)).parent


def pinned_requirements() -> list[str]:
    """What loading the model takes, as installed here."""
    return [f"{name}=={metadata.version(name)}" for name in REQUIREMENTS]
