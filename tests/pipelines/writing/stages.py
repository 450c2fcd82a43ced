"""A small catalogue as `catalog` leaves it, and parameters that ask a server for words."""

import hashlib
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipelines.run.paths import FOUND_PERSONAS_FILE, FOUND_PRODUCTS_FILE, PICTURES
from retrieval.storage.schema import PERSONAS, PRODUCTS, write_rows
from tests.pipelines.labelling.teachers.openai_setup import TOP

COLORS = ("red", "green", "blue", "white", "black")


def write_params(url: str = "http://127.0.0.1:9/v1", **sections: dict) -> None:
    """params.yaml of this folder: the project's, with an address and changes to sections."""
    params = yaml.safe_load((TOP / "params.yaml").read_text())
    for section in ("captions", "personas"):
        for key, value in params[section].items():
            if str(value).endswith(".txt"):
                params[section][key] = str(TOP / value)
    params["teacher"]["kind"] = "openai"
    params["teacher"]["openai"] |= {
        "base_url": url, "model": "vlm", "key_variable": "NO_KEY", "timeout": 5.0, "max_retries": 1,
    }  # fmt: skip
    for section, changes in sections.items():
        params[section] |= changes
    Path("params.yaml").write_text(yaml.safe_dump(params))


def write_found(captions: dict[str, str], titles: dict[str, str] | None = None) -> None:
    """Five products, one a colour; a caption only where one is given."""
    rows = []
    for number, color in enumerate(COLORS):
        path = PICTURES / "images" / f"{color}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), color).save(path)
        rows.append(
            {
                "product_id": color,
                "title": (titles or {}).get(color, ""),
                "caption": captions.get(color, ""),
                "category": "things" if number % 2 else "objects",
                "price": 1.0,
                "attributes": {},
                "image": f"images/{color}.png",
                "image_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "split": "train",
            }
        )
    write_rows(FOUND_PRODUCTS_FILE, rows, PRODUCTS)
    write_rows(FOUND_PERSONAS_FILE, [], PERSONAS)


def reach_loopback(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No proxy, no reading of authorities."""
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
