"""Search with CLIP ViT-B/32 against infinity, which only embeds: requests a second, 32 clients.

Both serve random weights of the same size on the same machine, in turns. Kindred encodes a text and
searches 6,000 or however many products for it; infinity answers `POST /embeddings` with the vector.
Kindred runs as it comes, and with a worker a core that read texts in `KINDRED_PRECISION=auto`: bf16
where the processor multiplies it. infinity runs as it comes and with `--dtype bfloat16`, and the
faster of the two is what Kindred is compared with. infinity lives in an environment of its own:

    python -m venv infinity && infinity/bin/pip install "infinity-emb[server,torch,vision]"
    python -m benchmarks.serve_clip --infinity infinity/bin/infinity_emb
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import aiohttp
import numpy as np
import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from benchmarks.measured import Rows
from benchmarks.served import (
    Service,
    described,
    kindred,
    per_second,
    run_apart,
    serving,
    started,
)
from registry.bundle import Bundle
from registry.checksums import write_sums
from registry.store import register_bundle
from retrieval.encoder import create_encoder, save_encoder
from retrieval.storage.vectors import write_vectors
from services.search.precision import PRECISION

NAME = "ViT-B-32"
CLIENTS = 32
TURNS = 3


def register_clip(bundle: Bundle) -> None:
    """Register a version with CLIP in the model's place, and random vectors of its width."""
    folder = Path("clip-version")
    shutil.copytree(bundle.folder, folder, ignore=shutil.ignore_patterns("model", "concepts"))
    torch.manual_seed(0)
    torch.save(open_clip.create_model(NAME).state_dict(), "weights.pt")
    save_encoder(create_encoder(NAME, "weights.pt"), folder / "model")
    ids = [product.product_id for product in bundle.read_products()]
    random_ND = np.random.default_rng(0).normal(size=(len(ids), 512)).astype(np.float32)
    random_ND /= np.linalg.norm(random_ND, axis=1, keepdims=True)
    for model in ("student", "base"):
        write_vectors(folder / "vectors" / f"{model}.parquet", ids, random_ND)
    write_sums(folder)
    register_bundle(folder, "kindred")


def write_hugging_face_clip(folder: Path) -> None:
    """The same model in the form that infinity reads, with the tokenizer that open_clip carries."""
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    tokenizer = SimpleTokenizer()
    (folder / "vocab.json").write_text(json.dumps(tokenizer.encoder))
    ordered = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.get)
    merges = "\n".join(" ".join(pair) for pair in ordered)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    marks = {"bos_token": "<start_of_text>", "eos_token": "<end_of_text>"}
    marks |= {"pad_token": "<end_of_text>", "unk_token": "<end_of_text>"}
    content = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **marks}
    (folder / "tokenizer_config.json").write_text(json.dumps(content))


def infinity(program: str, folder: Path, dtype: str) -> AbstractContextManager[Service]:
    """Infinity serving a model folder."""
    command = [program, "v2", "--model-id", str(folder), "--served-model-name", "clip"]
    command += ["--engine", "torch", "--device", "cpu", "--no-bettertransformer"]
    command += ["--dtype", dtype]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    return started(command, Path("infinity.log"), "/health", env=environment)


def embeddings_per_second(url: str, texts: Sequence[str], count: int) -> float:
    """What infinity answers, a text a request, after a tenth as a warm-up."""

    async def ask(enough: int) -> None:
        left = iter(range(enough))

        async def client() -> None:
            async with aiohttp.ClientSession(url) as session:
                for number in left:
                    body = {"model": "clip", "input": [texts[number % len(texts)]]}
                    async with session.post("/embeddings", json=body) as response:
                        if response.status != 200:
                            sys.exit(f"infinity: {response.status} {await response.text()}")
                        await response.read()

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    asyncio.run(ask(count // 10))
    began = time.perf_counter()
    asyncio.run(ask(count))
    return count / (time.perf_counter() - began)


def run(bundle: Bundle, program: str, count: int) -> bool:
    """Measure in turns, print it, and say whether the promise was kept."""
    rows = Rows()
    register_clip(bundle)
    kindred("promote", "1", "--force", "--reason", "benchmark")
    folder = Path("hugging-face-clip").absolute()
    write_hugging_face_clip(folder)
    texts = [query.text for query in bundle.read_queries()][:200]
    searches = [{"query": text, "k": 12} for text in texts]
    workers = len(os.sched_getaffinity(0))
    plain, fast, theirs = [], [], []
    for _ in range(TURNS):
        with serving("--workers", "1") as service:
            plain.append(per_second(service.url, searches, CLIENTS, count))
        os.environ[PRECISION] = "auto"
        with serving("--workers", str(workers)) as service:
            fast.append(per_second(service.url, searches, CLIENTS, count))
        del os.environ[PRECISION]
        both = []
        for dtype in ("auto", "bfloat16"):
            with infinity(program, folder, dtype) as service:
                both.append(embeddings_per_second(service.url, texts, count))
        theirs.append(both)
    rows.add("searches a second, 32 clients, one worker, fp32", plain)
    rows.add(f"searches a second, {workers} workers, KINDRED_PRECISION=auto", fast)
    rows.add("infinity: embeddings a second, 32 clients", [one for one, _ in theirs])
    rows.add("infinity, --dtype bfloat16", [other for _, other in theirs])
    best = [max(both) for both in theirs]
    rows.add("one worker in fp32 over infinity's faster", _ratios(plain, best))
    rows.add("the other over infinity's faster", _ratios(fast, best), "", ("at least", 1.5))
    return not rows.missed


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def main() -> None:
    """Read the arguments, and run in a temporary folder."""
    parser = described(__doc__)
    here = Path.cwd()
    parser.add_argument("--infinity", required=True, help="the program infinity_emb")
    parser.add_argument("--requests", type=int, default=1500)
    run_apart(
        parser,
        lambda bundle, options: run(bundle, str(here / options.infinity), options.requests),
    )


if __name__ == "__main__":
    main()
