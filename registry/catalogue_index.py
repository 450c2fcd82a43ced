"""A version's catalogue in Milvus: a collection for the student's vectors, one for the base's."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle
from registry.errors import RegistryError, local_remedy
from retrieval.index.collection import Item
from retrieval.index.store import (
    LiteStore,
    VectorStore,
    agreement,
    collection_key,
    default_uri,
    open_store,
    verify,
)
from retrieval.storage.vectors import Vectors

MODELS: Sequence[Literal["student", "base"]] = ("student", "base")


def ensure_collections(bundle: Bundle, uri: str | None = None) -> None:
    """Write the collections that are not there yet; those that are were verified when made.

    Raises:
        RegistryError: Milvus cannot hold it, or gave back something else than was written.
        ConnectionError: The Milvus server does not answer.
    """
    store = open_store(uri)
    present = store.list_keys()
    for model in MODELS:
        if collection_key(bundle.digest, model) not in present:
            _create(store, bundle, model)


def verify_collections(bundle: Bundle) -> None:
    """As `ensure_collections`, and read back those that are there; a damaged one is made again."""
    store = open_store()
    present = store.list_keys()
    for model in MODELS:
        key = collection_key(bundle.digest, model)
        if key in present:
            if _is_intact(store, bundle, model):
                continue
            store.drop(key)
        _create(store, bundle, model)


def check_collections(bundle: Bundle) -> None:
    """Find out, without writing, whether `verify_collections` would succeed.

    What is there is read back. For Milvus Lite what is not is made in a folder that goes; of a
    server this says no more than that it answers.

    Raises:
        RegistryError: Milvus cannot hold it, or its folder cannot be written.
        ConnectionError: The Milvus server does not answer.
    """
    store = open_store()
    present = store.list_keys()
    for model in MODELS:
        key = collection_key(bundle.digest, model)
        if isinstance(store, LiteStore) and not (
            key in present and _is_intact(store, bundle, model)
        ):
            with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
                _create(LiteStore(Path(folder) / "milvus"), bundle, model)
                made = sum(path.stat().st_size for path in Path(folder).rglob("*"))
            _check_folder(Path(default_uri()), made)


def try_index(vectors: Vectors, items: Sequence[Item], queries_QD: NDArray[np.float32]) -> float:
    """Build the index that these vectors would get, in a folder that goes, and search it.

    By Milvus Lite whatever `MILVUS_URI` says: a stage writes to no server. What promotion writes
    is verified where it is written.

    Returns:
        The share of exact search's ten nearest that it finds, over all queries.

    Raises:
        ValueError: The vectors are not finite or not of length 1, are of other products than the
            items, or cannot be put into Milvus.
    """
    if not np.allclose(np.linalg.norm(vectors.vectors, axis=1), 1, atol=1e-3):
        msg = "got a product vector that is not finite or not of length 1; run `dvc repro` again"
        raise ValueError(msg)
    with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
        store = LiteStore(Path(folder) / "milvus")
        store.create("candidate", vectors, items)
        collection = store.open("candidate", Path(folder) / "private")
        try:
            return agreement(collection, vectors, queries_QD)
        finally:
            collection.close()


def _check_folder(folder: Path, size: int) -> None:
    """Whether this many bytes can be written there, as far as can be seen without writing."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        msg = f"{folder} cannot be written: make {there} writable, or set MILVUS_URI to another"
        raise RegistryError(msg)
    free = disk_usage(there).free
    if free < 2 * size:  # a draft, and the copy that it is verified by
        msg = f"{folder} has room for {free:,} bytes, and needs {2 * size:,}: make room"
        raise RegistryError(msg)


def _create(store: VectorStore, bundle: Bundle, model: Literal["student", "base"]) -> None:
    items = [
        Item(product.product_id, product.category, product.price, product.attributes)
        for product in bundle.read_products()
    ]
    try:
        store.create(collection_key(bundle.digest, model), bundle.read_vectors(model), items)
    except ValueError as error:
        msg = f"the catalogue of {bundle.digest[:16]} cannot be put into Milvus: {error}"
        raise RegistryError(msg) from error
    except ConnectionError as error:
        if remedy := local_remedy(error):  # Milvus Lite's folder
            msg = f"the catalogue of {bundle.digest[:16]} cannot be put into Milvus: {remedy}"
            raise RegistryError(msg) from error
        raise


def _is_intact(store: VectorStore, bundle: Bundle, model: Literal["student", "base"]) -> bool:
    with tempfile.TemporaryDirectory(prefix="kindred.") as private:
        try:
            collection = store.open(collection_key(bundle.digest, model), Path(private))
        except (FileNotFoundError, ValueError):
            return False
        try:
            verify(collection, bundle.read_vectors(model))
        except ValueError:
            return False
        finally:
            collection.close()
    return True
