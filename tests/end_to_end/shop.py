"""What a tiny pipeline's champion serves, as a folder whose products come and go."""

import csv
import shutil

from PIL import Image, ImageOps

from retrieval.storage.schema import PRODUCTS, read_rows


class Shop:
    """A folder of products.csv and pictures in the project, named `shop`."""

    def __init__(self, project):
        catalog = project.folder / "data/catalog"
        self.folder = project.folder / "shop"
        shutil.copytree(catalog / "images", self.folder / "images")
        self.rows = [_cells(row) for row in read_rows(catalog / "products.parquet", PRODUCTS)]
        self._write()

    def remove(self):
        """The first product goes; its id."""
        gone = self.rows.pop(0)["product_id"]
        self._write()
        return gone

    def add(self, count):
        """Zeppelins, whose pictures are mirror images of others; their ids."""
        for number in range(count):
            row = self.rows[number]
            new = {**row, "product_id": f"new{number}", "image": f"images/new{number}.png"}
            with Image.open(self.folder / row["image"]) as image:
                ImageOps.mirror(image).save(self.folder / new["image"])
            self.rows.append(new | {"title": "A zeppelin of paper", "category": "zeppelin"})
        self._write()
        return [f"new{number}" for number in range(count)]

    def _write(self):
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with (self.folder / "products.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)


def _cells(row):
    named = {f"attr.{name}": value for name, value in row["attributes"].items()}
    told = {name: row[name] for name in ("product_id", "title", "caption", "category", "image")}
    return {**told, "price": row["price"], **named}
