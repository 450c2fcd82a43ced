"""Tables of unit vectors on disk: an id and a vector a row, in Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.storage.schema import describe, read_parquet, vectors_schema, write_table


@dataclass(frozen=True)
class Vectors:
    """Ids and their unit vectors, row for row: (N,) and (N, D) float32."""

    ids: list[str]
    vectors: NDArray[np.float32]

    def rows(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of `ids`, in that order.

        Raises:
            KeyError: An id has no vector.
        """
        position = {id_: row for row, id_ in enumerate(self.ids)}
        return self.vectors[[position[id_] for id_ in ids]]


def write_vectors(path: Path, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write vectors, atomically.

    Raises:
        ValueError: Counts differ, an id stands twice, or a row is no finite unit vector.
    """
    if vectors.ndim != 2 or len(ids) != len(vectors):
        msg = f"{path}: got {len(ids)} ids and vectors of shape {vectors.shape}, expected (N, D)"
        raise ValueError(msg)
    if len(set(ids)) != len(ids):
        msg = f"{path}: got {len(ids) - len(set(ids))} ids twice, expected each once"
        raise ValueError(msg)
    if len(ids) and not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        msg = f"{path}: got a vector that is not finite or not of length 1; expected unit vectors"
        raise ValueError(msg)
    schema = vectors_schema(vectors.shape[1])
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    write_table(path, pa.Table.from_arrays([pa.array(ids, pa.string()), column], schema=schema))


def read_vectors(path: Path) -> Vectors:
    """Read vectors that `write_vectors` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a table.
    """
    table = read_parquet(path)
    names_fit = table.schema.names == ["id", "vector"]
    if not names_fit or not pa.types.is_fixed_size_list(table.schema.field("vector").type):
        msg = f"{path}: got columns {describe(table.schema)}, expected id, vector of one width"
        raise ValueError(msg)
    column = table["vector"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
    return Vectors(table["id"].to_pylist(), vectors)
