import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval.storage.vectors import Vectors, read_vectors, write_vectors


def unit_rows(count, width, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "width"), [(0, 4), (1, 1), (3, 5), (1000, 16)])
def test_a_round_trip_keeps_every_bit(tmp_path, count, width):
    ids, vectors = [f"p{number}" for number in range(count)], unit_rows(count, width)
    write_vectors(tmp_path / "new" / "v.parquet", ids, vectors)
    got = read_vectors(tmp_path / "new" / "v.parquet")
    assert got.ids == ids
    assert got.vectors.dtype == np.float32
    np.testing.assert_array_equal(got.vectors, vectors)


@pytest.mark.parametrize("order", ["C", "F", "sliced", "float64"])
def test_the_memory_layout_does_not_matter(tmp_path, order):
    vectors = unit_rows(6, 4)
    given = {
        "C": vectors,
        "F": np.asfortranarray(vectors),
        "sliced": np.repeat(vectors, 2, axis=0)[::2],
        "float64": vectors.astype(np.float64),
    }[order]
    write_vectors(tmp_path / "v.parquet", list("abcdef"), given)
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.parquet").vectors, vectors)


def test_equal_vectors_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_vectors(tmp_path / name, ["a", "b"], unit_rows(2, 8))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_rows_come_in_the_order_that_is_asked_for():
    vectors = Vectors(["a", "b", "c"], unit_rows(3, 4))
    np.testing.assert_array_equal(vectors.rows(["c", "a", "c"]), vectors.vectors[[2, 0, 2]])
    with pytest.raises(KeyError, match="d"):
        vectors.rows(["a", "d"])


def _broken(value):
    vectors = unit_rows(2, 4)
    vectors[1] *= value
    return vectors


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (["a"], unit_rows(2, 4), r"got 1 ids and vectors of shape \(2, 4\), expected \(N, D\)"),
        (["a", "b", "c", "d"], unit_rows(2, 4).ravel()[:4], r"shape \(4,\)"),
        (["a", "a"], unit_rows(2, 4), "got 1 ids twice"),
        (["a", "b"], _broken(np.nan), "expected unit vectors"),
        (["a", "b"], _broken(np.inf), "expected unit vectors"),
        (["a", "b"], _broken(0), "expected unit vectors"),
        (["a", "b"], _broken(1.01), "expected unit vectors"),
    ],
)
def test_what_is_no_table_of_unit_vectors_is_refused(tmp_path, ids, vectors, message):
    path = tmp_path / "v.parquet"
    write_vectors(path, ["old"], unit_rows(1, 4))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        write_vectors(path, ids, vectors)
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        read_vectors(tmp_path / "none.parquet")


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), path)
    with pytest.raises(ValueError, match=r"got columns .*embedding.*expected id, vector"):
        read_vectors(path)


@pytest.mark.parametrize("column", [[[1.0, 0.0], [1.0]], ["a", "b"], [1.0, 0.0]])
def test_a_column_that_holds_no_vectors_of_one_width_is_refused(tmp_path, column):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "vector": column}), path)
    with pytest.raises(ValueError, match=r"t\.parquet"):
        read_vectors(path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("id,vector\n")
    with pytest.raises(ValueError, match=r"[Pp]arquet"):
        read_vectors(tmp_path / "t.parquet")
