"""What a version's life takes, in seconds and on disk: promote, roll back, sync, package.

In a registry of its own, in a temporary folder. The champion's catalogue as it is, or larger: what
is added lies at random around the products that there are. (Vectors that are random altogether have
no neighbours to find: an HNSW index misses too many of those, and promotion refuses it.) Where the
catalogue is small enough for its pictures to be read again, `kindred catalog sync` runs whole, with
100 new pictures, while eight clients search; in a larger one the same revision is made from such
vectors. `MILVUS_URI` says where collections go.

    python -m benchmarks.registry
    MILVUS_URI=http://127.0.0.1:19530 python -m benchmarks.registry --products 100000
"""

import argparse
import asyncio
import csv
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.measured import Rows, timed
from benchmarks.served import (
    Answer,
    described,
    kindred,
    load,
    register_two,
    run_apart,
    serving,
    started,
)
from registry.bundle import PRODUCTS, Bundle, Product, open_bundle
from registry.checksums import write_sums
from registry.lineage import Revision
from registry.promotion import revise
from registry.removal import bytes_below
from registry.revision import ADDED, Catalogue, write_revision
from registry.store import fetch_bundle
from registry.versions import find_champion
from retrieval.storage import schema
from retrieval.storage.vectors import Vectors, write_vectors

PARAMS = Path(__file__).parents[1] / "params.yaml"
TURNS = 3
NEW = 100  # products a sync
CLIENTS = 8
NOISE = 0.5  # length of what is added to a vector of length 1
MOST_READ = 10_000  # products whose pictures are read again


def grown(bundle: Bundle, count: int) -> Bundle:
    """The version with so many products: its own, and copies of them with vectors near theirs."""
    folder = Path("grown")
    shutil.copytree(bundle.folder, folder)
    own = bundle.read_products()
    more = [
        replace(own[number % len(own)], product_id=f"copy-{number}", split="train")
        for number in range(count - len(own))
    ]
    rows = [asdict(product) for product in [*own, *more]]
    schema.write_rows(folder / "products.parquet", rows, PRODUCTS)
    ids = [row["product_id"] for row in rows]
    for seed, model in enumerate(("student", "base")):
        stored = bundle.read_vectors(model)
        own_ND = stored.rows([product.product_id for product in own])
        all_ND = np.concatenate(
            [own_ND, near(np.resize(own_ND, (len(more), own_ND.shape[1])), seed)]
        )
        write_vectors(folder / f"vectors/{model}.parquet", ids, all_ND)
    write_sums(folder)
    return open_bundle(folder.absolute())


def near(vectors_ND: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Unit vectors (N, D) at random around others, at a cosine of 0.9 or so."""
    noise_ND = np.random.default_rng(seed).normal(0, NOISE, vectors_ND.shape)
    near_ND = vectors_ND + noise_ND / np.sqrt(vectors_ND.shape[1])
    return (near_ND / np.linalg.norm(near_ND, axis=1, keepdims=True)).astype(np.float32)


def write_folder(folder: Path, products: Sequence[Product], turn: int | None = None) -> None:
    """The products as a folder of pictures, and in a turn `NEW` more: mirror images of some."""
    folder.mkdir(exist_ok=True)
    chosen = [] if turn is None else products[turn * NEW : (turn + 1) * NEW]
    mirrored = [replace(one, product_id=f"new-{one.product_id}") for one in chosen]
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["product_id", "image", "title", "caption", "category"])
        for product in [*products, *mirrored]:
            name = f"{product.product_id}.jpg"
            if not (folder / name).exists():
                is_new = product.product_id.startswith("new-")
                jpeg = mirror(product.thumbnail) if is_new else product.thumbnail
                (folder / name).write_bytes(jpeg)
            table.writerow(
                [product.product_id, name, product.title, product.caption, product.category]
            )


def mirror(jpeg: bytes) -> bytes:
    """The mirror image of a JPEG."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        ImageOps.mirror(image.convert("RGB")).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def revise_with_random(turn: int) -> None:
    """What a sync does once pictures are read: `NEW` more products, near those that there are."""
    champion = find_champion("kindred")
    if champion is None:
        sys.exit("the benchmark's registry lost its champion")
    bundle = fetch_bundle(champion)
    products = bundle.read_products()
    more = [
        replace(one, product_id=f"new-{turn}-{at}", split=ADDED)
        for at, one in enumerate(products[:NEW])
    ]
    both = [*products, *more]
    ids = [product.product_id for product in both]
    vectors = {}
    for seed, model in enumerate(("student", "base")):
        stored = bundle.read_vectors(model)
        own_ND = stored.rows(ids[: len(products)])
        rows_ND = np.concatenate([own_ND, near(own_ND[:NEW], 10 * turn + seed)])
        vectors[model] = Vectors(ids, rows_ND)
    none = Vectors([], np.empty((0, vectors["base"].vectors.shape[1]), np.float32))
    catalogue = Catalogue(both, vectors["student"], vectors["base"], none)
    record = Revision(
        of=champion.trained,
        of_sha256=bundle.digest,
        added=NEW,
        removed=0,
        changed=0,
        table_sha256="0" * 64,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    shutil.rmtree("revision", ignore_errors=True)
    write_revision(Path("revision"), bundle, catalogue, record, "kindred")
    revise(champion, Path("revision"), f"{NEW} added")


@contextmanager
def clients(url: str, texts: Sequence[str]) -> Iterator[list[Answer]]:
    """Searches for as long as the block runs; afterwards the list holds their answers."""
    answers: list[Answer] = []
    done = threading.Event()
    searches = [{"query": text, "k": 12} for text in texts]

    def search() -> None:
        answers.extend(asyncio.run(load(url, searches, CLIENTS, lambda _: done.is_set())))

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def sync_folder(bundle: Bundle, rows: Rows) -> None:
    """The verb, from pictures to a champion: alone, and while a service answers eight clients."""
    shutil.copyfile(PARAMS, "params.yaml")
    products, folder = bundle.read_products(), Path("folder")
    write_folder(folder, products)
    rows.add(
        f"sync, the first: all {len(products)} pictures are new to it",
        [kindred("catalog", "sync", "folder")],
        "s",
    )
    seconds = []
    for turn in range(TURNS):
        write_folder(folder, products, turn)
        seconds.append(kindred("catalog", "sync", "folder"))
        kindred("rollback")
    rows.add(f"sync, {NEW} new products", seconds, "s", ("at most", 30))
    texts = [query.text for query in bundle.read_queries()][:100]
    write_folder(folder, products, TURNS)
    with serving("--workers", "1") as service:
        with clients(service.url, texts) as answers:
            busy = kindred("catalog", "sync", "folder")
        failed = sum(answer.status != 200 for answer in answers)
    rows.add(f"the same beside {CLIENTS} clients", [busy], "s", ("at most", 30))
    rows.add(f"of {len(answers)} requests meanwhile, failed", [failed], "", ("at most", 0))
    kindred("rollback")


def serve_package(tag: str) -> float:
    """Seconds from the start of a package in an empty folder until it is ready."""
    folder = Path("served")
    folder.mkdir()
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1"]
    with started(command, folder / "log", cwd=folder) as service:
        return service.ready_seconds


def run(bundle: Bundle, options: argparse.Namespace) -> bool:
    """Measure, print it, and say whether the promises were kept."""
    rows = Rows()
    own = len(bundle.read_products())
    if options.products and options.products > own:
        bundle = grown(bundle, options.products)
    count = len(bundle.read_products())
    register_two(bundle)
    insist = ("--force", "--reason", "benchmark")
    rows.add(f"promote, {count} products", [kindred("promote", "1", *insist)], "s")
    rows.add("promote, compared with the champion", [kindred("promote", "2", *insist)], "s")
    rows.add("rollback", [kindred("rollback")], "s")
    if count <= MOST_READ:
        sync_folder(bundle, rows)
    else:
        seconds = [timed(lambda turn=turn: revise_with_random(turn))[0] for turn in range(TURNS)]
        rows.add(f"sync, {NEW} new products, without reading pictures", seconds, "s")
    os.environ["BENTOML_HOME"] = str(Path("bentoml").absolute())
    rows.add("package", [kindred("package", "1")], "s")
    tag = f"kindred:1-{bundle.digest[:12]}"
    rows.add("a package until it serves, the first time in a folder", [serve_package(tag)], "s")
    export = [sys.executable, "-m", "bentoml", "export", tag, str(Path("kindred.tar").absolute())]
    rows.add("its export as .tar", [timed(lambda: subprocess.run(export, check=True))[0]], "s")
    for what, place in (
        ("artifacts in MLflow, a version", Path("mlruns")),
        ("bundles, a version", Path("var/bundles")),
        ("collections of Milvus Lite, a version", Path("var/milvus")),
    ):
        if place.exists():
            versions = len(list(Path("var/bundles").glob("[0-9a-f]*")))
            rows.add(what, [bytes_below(place) / versions / 1e6], "MB")
    rows.add("a package", [bytes_below(Path("bentoml")) / 1e6], "MB")
    return not rows.missed


def main() -> None:
    """Run what the arguments ask for."""
    parser = described(__doc__)
    parser.add_argument("--products", type=int, metavar="N", help="at least so many")
    run_apart(parser, run)


if __name__ == "__main__":
    main()
