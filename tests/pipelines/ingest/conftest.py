"""A user's folder to fill: nine different photos, one persona, and no products yet."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.ingest.folder import FolderCatalog, read_folder
from pipelines.ingest.pictures import PictureLimits

PERSONA = {"persona_id": "p1", "text": "a gift for a gardener", "wants": {"colour=red": 1}}


class UserFolder:
    """What the tests write into, and read back."""

    def __init__(self, path: Path, out: Path) -> None:
        self.path = path
        self.out = out
        (path / "photos").mkdir(parents=True)
        for number in range(1, 10):
            self.photo(number).save(path / "photos" / f"{number}.png")
        self.write("personas.jsonl", [PERSONA])

    @staticmethod
    def photo(seed: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
        random = np.random.default_rng(seed)
        return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))

    @staticmethod
    def product(number: int, **changes: Any) -> dict[str, Any]:
        row = {
            "product_id": f"id{number}",
            "image": f"photos/{number}.png",
            "title": f"Title {number}",
            "caption": f"a thing, number {number}",
        }
        return row | changes

    def write(self, name: str, rows: Sequence[Mapping[str, Any]], encoding: str = "utf-8") -> None:
        path = self.path / name
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding=encoding)
        elif path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
        else:
            columns = list(dict.fromkeys(name for row in rows for name in row))
            with path.open("w", encoding=encoding, newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)

    def read(self, path: Path | None = None) -> FolderCatalog:
        limits = PictureLimits(max_megapixels=1, max_side=32)
        return read_folder(path or self.path, self.out / "images", self.out / "subjects", limits)

    def read_products(self, *rows: Mapping[str, Any]) -> FolderCatalog:
        self.write("products.jsonl", rows)
        return self.read()

    def read_personas(self, *rows: Mapping[str, Any]) -> FolderCatalog:
        self.write("personas.jsonl", rows)
        return self.read_products(self.product(1))

    def copies(self) -> set[str]:
        return {path.name for path in (self.out / "images").iterdir()}

    @staticmethod
    def reasons(catalog: FolderCatalog) -> dict[int, str]:
        return {reject.row: reject.reason for reject in catalog.rejects}


@pytest.fixture
def folder(tmp_path: Path) -> UserFolder:
    return UserFolder(tmp_path / "mine", tmp_path / "out")
