"""The version as MLflow's ecosystem sees it: texts in, unit vectors out.

MLflow keeps this file in the model ("models from code") and runs it where the model is loaded, with
`retrieval/` beside it and nothing else of Kindred; so it imports nothing else.

    mlflow.pyfunc.load_model("models:/kindred@challenger").predict(["a gift for a gardener"])
"""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel


class TextEncoder(PythonModel):  # type: ignore[misc]  # MLflow comes untyped
    """The student's text tower; MLflow derives the signature from `predict`'s types."""

    def load_context(self, context: Any) -> None:
        """Load the bundle's model, once."""
        from retrieval.encoder import load_encoder

        self._encoder = load_encoder(Path(context.artifacts["bundle"]) / "model")

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow's signature
        model_input: list[str],
    ) -> list[list[float]]:
        """One unit vector a text; a data frame with one column of texts does as well."""
        vectors: list[list[float]] = self._encoder.encode_texts(list(model_input)).tolist()
        return vectors


mlflow.models.set_model(TextEncoder())
