"""The version as MLflow's ecosystem sees it: texts in, unit vectors out.

MLflow keeps this file in the model ("models from code") and runs it where the model is loaded, with
`retrieval/` beside it and nothing else of Kindred; so it imports nothing else.

    model = mlflow.pyfunc.load_model("models:/kindred@champion")
    model.predict(["a gift for a gardener"])
    model.predict(pandas.DataFrame({"text": ["on a beach"], "concept": ["NAME"]}))
"""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel
from pydantic import BaseModel


class Query(BaseModel):
    """A row: a text, and the name of one of the version's concepts where the text is about it."""

    text: str
    concept: str | None = None


class TextReader:
    """Reads texts with the student's text tower.

    MLflow derives the signature from `predict`'s types. It would also hold each input to them, and
    so refuse either data frames of two columns or plain lists of texts; it does so for methods of
    the model's own class only, and this one is inherited.
    """

    def load_context(self, context: Any) -> None:
        """Load the bundle's model, once."""
        from retrieval.encoder import load_encoder

        self._bundle = Path(context.artifacts["bundle"])
        self._encoder = load_encoder(self._bundle / "model")
        self._concepts: dict[str, Any] = {}

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow's signature
        model_input: list[Query],
    ) -> list[list[float]]:
        """One unit vector a text.

        Args:
            context: MLflow's.
            model_input: Queries, also as dictionaries or plain texts; or a data frame with a column
                `text`, or one column of any name, and perhaps a column `concept`.

        Raises:
            ValueError: The version has no such concept, or the input is none of these.
        """
        queries = [_query(row) for row in _rows(model_input)]
        texts = [query.text for query in queries]
        if any(query.concept for query in queries):
            vectors_ND = self._encode_with_concepts(texts, [query.concept for query in queries])
        else:
            vectors_ND = self._encoder.encode_texts(texts)
        vectors: list[list[float]] = vectors_ND.tolist()
        return vectors

    def _encode_with_concepts(self, texts: list[str], names: list[str | None]) -> Any:
        from retrieval.concepts.queries import encode_queries
        from retrieval.text.tower import TextTower

        concepts = [[self._concept(name)] if name else [] for name in names]
        return encode_queries(TextTower(self._encoder), texts, concepts)

    def _concept(self, name: str) -> Any:
        if name not in self._concepts:
            from retrieval.concepts.adapter import load_concept

            folders = {path.name: path for path in (self._bundle / "concepts").glob("*")}
            if name not in folders:
                known = ", ".join(sorted(folders)) or "none"
                msg = f"got concept {name!r}, expected one of this version's: {known}"
                raise ValueError(msg)
            self._concepts[name] = load_concept(folders[name], self._encoder)
        return self._concepts[name]


class TextEncoder(TextReader, PythonModel):  # type: ignore[misc]  # MLflow comes untyped
    """The model that MLflow loads."""


def _rows(model_input: Any) -> list[Any]:
    """The rows of a data frame, or of anything that is a list already."""
    if not hasattr(model_input, "columns"):
        return list(model_input)
    if "text" in model_input.columns:
        rows: list[Any] = model_input.to_dict(orient="records")
        return rows
    if len(model_input.columns) == 1:
        return list(model_input.iloc[:, 0])
    columns = ", ".join(map(str, model_input.columns))
    msg = f"got the columns {columns}, expected text, and perhaps concept"
    raise ValueError(msg)


def _query(row: Any) -> Query:
    if isinstance(row, str):
        return Query(text=row)
    if isinstance(row, Query):
        return row
    concept = row.get("concept")
    # What a data frame has in an empty cell is a number: NaN.
    return Query(text=row["text"], concept=concept if isinstance(concept, str) else None)


mlflow.models.set_model(TextEncoder())
