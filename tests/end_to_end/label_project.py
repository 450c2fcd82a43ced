"""A project that has come as far as its first labels, without models; and a server to ask."""

import hashlib
import json
import subprocess
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from retrieval.storage.files import sha256_file, write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, RANKINGS, write_rows
from retrieval.storage.vectors import write_vectors

ROOT = Path(__file__).parents[2]
STAGE = """\
stages:
  label:
    cmd: python -m pipelines.label c1
    deps: [data/catalog]
    params: [teacher, label]
    outs:
      - data/labels/c1
"""
OUTPUTS = ("rankings.parquet", "audits.parquet", "ledger.json")


def make_label_project(folder: Path, url: str, products: int = 40, **label: float) -> Path:
    """Tables, pictures, vectors and parameters for stage `label` of cycle c1."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(products):
        picture = folder / f"data/catalog/images/{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(picture)
        rows.append(
            dict.fromkeys(PRODUCTS.names, "")
            | {"product_id": f"x{number}", "price": 1.0, "attributes": {}, "split": "train"}
            | {"image": f"images/{number}.png", "image_sha256": sha256_file(picture)}
        )
    personas = [
        {"persona_id": f"p{n}", "text": f"Person {n}", "split": "train", "wants": {}}
        | {"paraphrase": "", "facets": {}}
        for n in range(12)
    ]
    write_rows(folder / "data/catalog/products.parquet", rows, PRODUCTS)
    write_rows(folder / "data/personas.parquet", personas, PERSONAS)
    write_rows(folder / "data/labels/c0/rankings.parquet", [], RANKINGS)
    write_json(folder / "metrics/cycles/c0.json", {"stopped": False})
    for name, table, key in (
        ("texts/personas", personas, "persona_id"),
        ("cycles/c0/products", rows, "product_id"),
    ):
        vectors = rng.normal(size=(len(table), 8)).astype(np.float32)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        write_vectors(folder / f"data/vectors/{name}.parquet", [r[key] for r in table], unit)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["teacher"]["kind"] = "openai"
    params["teacher"]["prompt"] = str(ROOT / params["teacher"]["prompt"])
    params["teacher"]["complaint"] = str(ROOT / params["teacher"]["complaint"])
    params["teacher"]["openai"] |= {"base_url": f"{url}/v1", "concurrency": 4}
    params["label"] |= {"groups": 150, **label}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def add_dvc(folder: Path) -> None:
    """Make the stage one of DVC's."""
    (folder / "dvc.yaml").write_text(STAGE)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)


def outputs(folder: Path) -> dict[str, bytes]:
    """The bytes of what the stage wrote."""
    return {name: (folder / "data/labels/c1" / name).read_bytes() for name in OUTPUTS}


class ChatServer:
    """An OpenAI-compatible server whose replies follow from what is asked; it keeps a log."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked: list[str] = []  # a digest of each request, in order of arrival
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # killed while it sent: no question arrived
                    return
                digest = hashlib.sha256(body).hexdigest()
                server.asked.append(digest)
                time.sleep(seconds)
                reply = json.dumps(server.reply(digest, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                with suppress(OSError):  # who asked may have been killed
                    self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def reply(self, digest: str, body: bytes) -> dict:
        """A seeded permutation; every 20th is half a reply, until it is complained about."""
        messages = json.loads(body)["messages"]
        shown = sum(part["type"] == "image_url" for part in messages[0]["content"])
        rng = np.random.default_rng(int(digest[:8], 16))
        ranking = (rng.permutation(shown) + 1).tolist()
        if len(messages) == 1 and int(digest[:8], 16) % 20 == 0:
            ranking = ranking[1:]
        content = json.dumps({"ranking": ranking, "asked": digest})
        usage = {"prompt_tokens": 700 * shown, "completion_tokens": 20}
        return {"choices": [{"message": {"content": content}}], "usage": usage}

    def __enter__(self) -> "ChatServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
