"""Where collections are: folders of Milvus Lite, or a Milvus server.

Both make a collection under another name, verify it there, and give it its name in one step: what
has the name is complete, and never changes after that.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, rmtree
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection import Collection, Item, index_type, reached, write_collection
from retrieval.index.exact import ExactIndex
from retrieval.storage.vectors import Vectors

if TYPE_CHECKING:
    from pymilvus import MilvusClient

DEFAULT_URI = "var/milvus"
_SERVERS = ("http://", "https://", "tcp://", "unix:")
_NAME = "products"  # the one collection in a folder of Milvus Lite
_SAMPLE = 32  # products whose neighbours are compared with exact search
_K = 10
_ROUNDING = 1e-5  # between two ways to sum the same products
_HNSW_RECALL = 0.95
_PATIENCE = 10.0  # seconds
# pymilvus pings its server every 10 s. Lite's takes that for an attack, closes the connection and
# says "too_many_pings"; a server in one's own process needs none.
_NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.keepalive_permit_without_calls": 0}


class VectorStore(Protocol):
    """A place for collections, each under the key of one version and model."""

    def list_keys(self) -> set[str]:
        """The complete collections. Raises ConnectionError where a server does not answer."""

    def create(self, key: str, vectors: Vectors, items: Sequence[Item]) -> None:
        """Write and verify a collection; nothing happens if it is there already.

        Raises:
            ValueError: Vectors and items do not belong together, or what was read back is not what
                was written.
            ConnectionError: A server does not answer.
        """

    def open(self, key: str, private: Path | None = None) -> Collection:
        """Open a collection for search.

        Args:
            key: Which.
            private: With Milvus Lite, which lets one process open a path: a new folder for a copy.

        Raises:
            FileNotFoundError: There is no such collection.
            ValueError: Its folder is damaged.
            ConnectionError: A server does not answer.
        """

    def drop(self, key: str) -> None:
        """Delete a collection, if it is there."""


def open_store(uri: str | None = None) -> VectorStore:
    """The store at an address, by default that of `MILVUS_URI`, else `var/milvus`."""
    uri = uri or default_uri()
    return ServerStore(uri) if uri.startswith(_SERVERS) else LiteStore(Path(uri))


def default_uri() -> str:
    """The address in `MILVUS_URI`, or `var/milvus`."""
    return os.environ.get("MILVUS_URI") or DEFAULT_URI


def collection_key(digest: str, model: Literal["student", "base"]) -> str:
    """The name of a version's collection: letters, digits and underscores, as Milvus wants it."""
    return f"v{digest[:16]}_{model}"


def verify(collection: Collection, vectors: Vectors) -> None:
    """Compare a collection with what was written: ids, vectors, and the neighbours it finds.

    Raises:
        ValueError: It differs; the message says in what.
    """
    found = collection.read_back(vectors.ids)
    if found.ids != vectors.ids or collection.count() != len(vectors.ids):
        strays = sorted(set(vectors.ids) - set(found.ids))[:5]
        msg = (
            f"got {collection.count()} products, expected the {len(vectors.ids)} written"
            f" (missing: {strays})"
        )
        raise ValueError(msg)
    if found.vectors.tobytes() != vectors.vectors.astype(np.float32).tobytes():
        msg = "got other vectors back than were written"
        raise ValueError(msg)
    recall = agreement(collection, vectors, _sample(vectors))
    needed = 1.0 if index_type(len(vectors.ids)) == "FLAT" else _HNSW_RECALL
    if recall < needed:
        msg = f"got {recall:.3f} of exact search's top {_K}, expected {needed} at least"
        raise ValueError(msg)


def agreement(collection: Collection, vectors: Vectors, queries_QD: NDArray[np.float32]) -> float:
    """Share of the top 10 that is as near as exact search's, over queries; ties are as good."""
    exact = ExactIndex(vectors.ids, vectors.vectors).search(queries_QD, _K)
    found = collection.search(queries_QD, _K)
    position = {id_: row for row, id_ in enumerate(vectors.ids)}
    good = 0
    for query_D, wanted, hits in zip(queries_QD, exact, found, strict=True):
        last = wanted[-1][1] - _ROUNDING
        good += sum(
            float(vectors.vectors[position[id_]] @ query_D) >= last for id_ in {i for i, _ in hits}
        )
    return good / sum(len(wanted) for wanted in exact)


def _sample(vectors: Vectors) -> NDArray[np.float32]:
    rows = np.linspace(0, len(vectors.ids) - 1, min(_SAMPLE, len(vectors.ids))).astype(int)
    sample_QD: NDArray[np.float32] = vectors.vectors[np.unique(rows)]
    return sample_QD


class LiteStore:
    """Milvus Lite: a folder a collection. It lets one process open a path, so each opens a copy."""

    def __init__(self, root: Path) -> None:
        """Remember where; nothing is made before `create`."""
        self._root = root

    def list_keys(self) -> set[str]:
        """As `VectorStore`."""
        return {path.stem for path in self._root.glob("*.db")}

    def create(self, key: str, vectors: Vectors, items: Sequence[Item]) -> None:
        """As `VectorStore`."""
        target = self._path(key)
        if target.exists():
            return
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".making.") as making:
            draft = Path(making) / "draft.db"
            client = _open_lite(draft)
            try:
                with reached(str(draft)):
                    write_collection(client, _NAME, vectors, items)
            finally:
                _close_lite(client, draft)
            check = self._open_copy(draft, Path(making) / "check")
            try:
                verify(check, vectors)
            finally:
                check.close()
            try:
                draft.rename(target)
            except OSError:
                if not target.exists():  # else another process was faster, with equal content
                    raise

    def open(self, key: str, private: Path | None = None) -> Collection:
        """As `VectorStore`."""
        source = self._path(key)
        if not source.exists():
            msg = f"{source} is missing: run `kindred promote` or start the service again"
            raise FileNotFoundError(msg)
        return self._open_copy(source, private or Path(tempfile.mkdtemp(prefix="kindred.")))

    def drop(self, key: str) -> None:
        """As `VectorStore`."""
        path = self._path(key)
        if path.exists():
            aside = self._root / f".dropped.{key}.{os.getpid()}"
            path.rename(aside)  # a killed removal leaves no half collection under the name
            rmtree(aside, ignore_errors=True)
        for left in self._root.glob(f".dropped.{key}.*"):
            rmtree(left, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self._root / f"{key}.db"

    def _open_copy(self, source: Path, folder: Path) -> Collection:
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / "copy.db"
        rmtree(copy, ignore_errors=True)
        copytree(source, copy)
        client = _open_lite(copy)

        def close() -> None:
            _close_lite(client, copy)
            rmtree(folder, ignore_errors=True)

        try:
            with reached(str(source)):
                return Collection(client, _NAME, close)
        except ConnectionError as error:  # there is no server that could be down
            close()
            msg = f"{source} is damaged: {error.__cause__}; delete it, and promote again"
            raise ValueError(msg) from error


class ServerStore:
    """Collections of a Milvus server, shared by all that reach it."""

    def __init__(self, uri: str) -> None:
        """Remember the address; the first call connects."""
        self._uri = uri

    def list_keys(self) -> set[str]:
        """As `VectorStore`."""
        with self._client() as client:
            return {name for name in client.list_collections() if not name.endswith("_making")}

    def create(self, key: str, vectors: Vectors, items: Sequence[Item]) -> None:
        """As `VectorStore`."""
        draft = f"{key}_making"
        with self._client() as client:
            if client.has_collection(key):
                return
            if client.has_collection(draft):  # of a process that was killed
                client.drop_collection(draft)
            write_collection(client, draft, vectors, items)
            verify(Collection(client, draft, lambda: None), vectors)
            client.rename_collection(draft, key)

    def open(self, key: str, private: Path | None = None) -> Collection:  # noqa: ARG002
        """As `VectorStore`."""
        with reached(self._uri):
            client = self._connect()
            if client.has_collection(key):
                return Collection(client, key, client.close)
            client.close()
        msg = f"{self._uri} has no collection {key}: run `kindred promote`"
        raise FileNotFoundError(msg)

    def drop(self, key: str) -> None:
        """As `VectorStore`."""
        with self._client() as client:
            client.drop_collection(key)

    @contextmanager
    def _client(self) -> Iterator["MilvusClient"]:
        with reached(self._uri):
            client = self._connect()
            try:
                yield client
            finally:
                client.close()

    def _connect(self) -> "MilvusClient":
        return _client_of(self._uri)


def _open_lite(path: Path) -> "MilvusClient":
    with reached(str(path)):
        return _client_of(str(path.absolute()), grpc_options=_NO_PINGS)


def _client_of(uri: str, **more: Any) -> "MilvusClient":
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what fails is raised too
    return MilvusClient(uri, timeout=_PATIENCE, **more)


def _close_lite(client: "MilvusClient", path: Path) -> None:
    """Free the path too: `close` alone keeps it locked."""
    from milvus_lite.server_manager import server_manager_instance

    client.close()
    server_manager_instance.release_server(str(path.absolute()))
