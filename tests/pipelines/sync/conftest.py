"""A champion of eight products in a registry of its own, and a folder that holds the same ones."""

import csv
from importlib.metadata import EntryPoint
from pathlib import Path
from shutil import copy, copytree
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from registry.bundle import Bundle
from registry.bundle_writer import write_bundle
from registry.promotion import promote
from registry.store import register_bundle
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import PRODUCTS, read_rows, write_rows
from services import cli
from tests.registry.conftest import _make_sources
from tests.tiny_model import write_tiny_model

TOP = Path(__file__).parents[3]
CATALOG = EntryPoint("catalog", "pipelines.sync.command:catalog", cli.BROUGHT)


class ColourEncoder:
    """Sees a picture's mean colour, and where its weights were those of the base, its inverse."""

    batch = 4
    read: ClassVar[list[str]] = []  # pictures that any of them was shown

    def __init__(self):
        self.is_base = False

    def forget(self):
        self.is_base = True

    def encode_files(self, paths):
        rows = []
        for path in paths:
            with Image.open(path) as image:
                mean = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
            ColourEncoder.read.append(path.name)
            rows.append([*(255 - mean if self.is_base else mean), 1, 0, 0, 0, 0])
        vectors = np.array(rows, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts):
        return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]


def picture(seed, size=(40, 20)):
    drawn = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(drawn)


class Shop:
    """A folder of products, as its owner changes it."""

    def __init__(self, path, rows=None):
        self.path = path
        self.rows = rows or {}

    def put(self, product_id, seed=None, **cells):
        """Add or change a row, and draw its picture where there is a seed."""
        row = self.rows.setdefault(product_id, {"product_id": product_id})
        row |= {"image": f"{product_id}.png", "title": f"Thing {product_id}", **row, **cells}
        if seed is not None:
            picture(seed).save(self.path / row["image"])
        self.write()

    def remove(self, product_id):
        del self.rows[product_id]
        self.write()

    def write(self):
        names = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        with (self.path / "products.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows.values())


def write_version(folder, made, visual=1.0):
    """A version's bundle of eight products, whose pictures are drawn by number; their rows.

    Args:
        folder: The bundle's.
        made: A new folder for what it is made of.
        visual: What its image tower learned: another version has another one.
    """
    sources = _make_sources(made)
    write_tiny_model(sources.model, visual)
    rows = []
    for number, row in enumerate(read_rows(sources.products, PRODUCTS)):
        shot = sources.products.parent / f"{row['product_id']}.jpg"
        picture(number).save(shot)
        rows.append({**row, "image": shot.name, "image_sha256": sha256_file(shot)})
    write_rows(sources.products, rows, PRODUCTS)
    write_bundle(folder, sources)
    return rows


def stand_in():
    """No model is read."""
    Bundle.load_encoder = lambda *_: ColourEncoder()
    Bundle.make_base = lambda _, encoder: encoder.forget()


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A project whose champion serves what its shop holds, in the catalogue's own pictures."""
    root = tmp_path_factory.mktemp("template")
    home = root / "home"
    made = Shop(home / "shop")
    made.path.mkdir(parents=True)
    copy(TOP / "params.yaml", home)
    for row in write_version(root / "bundle", root / "made"):
        copy(root / "made" / "catalog" / row["image"], made.path)
        price = "" if np.isnan(row["price"]) else row["price"]
        attributes = {f"attr.{name}": value for name, value in row["attributes"].items()}
        told = {name: row[name] for name in ("image", "title", "caption", "category")}
        made.put(row["product_id"], price=price, **told, **attributes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.delenv("MILVUS_URI", raising=False)
        register_bundle(root / "bundle", "kindred")
        promote("kindred", "1")
    return home, made.rows


@pytest.fixture
def shop(template, tmp_path, monkeypatch):
    """A copy to change, and the verb that `kindred` finds."""
    made_at, rows = template
    home = tmp_path / "home"
    copytree(made_at, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.delenv("MILVUS_URI", raising=False)
    monkeypatch.setattr(cli, "_brought", lambda: {"catalog": CATALOG})
    monkeypatch.setattr(Bundle, "load_encoder", lambda *_: ColourEncoder())
    monkeypatch.setattr(Bundle, "make_base", lambda _, encoder: encoder.forget())
    ColourEncoder.read = []
    return Shop(home / "shop", {id_: dict(row) for id_, row in rows.items()})
