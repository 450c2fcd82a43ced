"""A service to measure: a registry of its own, `kindred serve` in it, and clients that load it."""

import argparse
import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import httpx
from PIL import Image, ImageEnhance

from benchmarks.measured import describe_machine
from registry.bundle import Bundle, Product
from registry.checksums import write_sums
from registry.store import fetch_bundle, register_bundle
from registry.versions import find_version

PATIENCE = 120.0  # seconds


def kindred(*arguments: str) -> float:
    """Run a verb in the working directory; seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "services.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"kindred {' '.join(arguments)} exited with {done.returncode}: {done.stderr}")
    return time.perf_counter() - began


def run_apart(
    parser: argparse.ArgumentParser, run: Callable[[Bundle, argparse.Namespace], bool]
) -> NoReturn:
    """Read the arguments, measure in a registry of its own, and exit: 0 if promises were kept.

    Args:
        parser: What the benchmark takes; `--version` is added.
        run: Measures a version in the working directory, a temporary one; whether all was met.
    """
    bundle, options = chosen(parser)
    bundle = replace(bundle, folder=bundle.folder.absolute())
    facts = {"machine": describe_machine(), "products": len(bundle.read_products())}
    print(json.dumps(facts | {"bundle": bundle.digest[:16]}))
    with tempfile.TemporaryDirectory(prefix="kindred.") as folder, contextlib.chdir(folder):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        kept = run(bundle, options)
    sys.exit(0 if kept else 1)


def chosen(parser: argparse.ArgumentParser) -> tuple[Bundle, argparse.Namespace]:
    """Read the arguments, and open the version that `--version` names."""
    parser.add_argument("--version", metavar="V", help="number or alias (default: champion)")
    options = parser.parse_args()
    return fetch_bundle(find_version("kindred", options.version)), options


def described(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a file's docstring as it stands."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def register_two(bundle: Bundle) -> None:
    """Register a bundle, and the same with student and base exchanged, whose answers differ."""
    register_bundle(bundle.folder, "kindred")
    other = Path("variant")
    shutil.copytree(bundle.folder, other)
    for name, source in (("student", "base"), ("base", "student")):
        shutil.copyfile(
            bundle.folder / f"vectors/{source}.parquet", other / f"vectors/{name}.parquet"
        )
    write_sums(other)
    register_bundle(other, "kindred")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@dataclass(frozen=True)
class Service:
    """A server that is ready."""

    url: str
    pid: int  # of the process that its workers are children of
    ready_seconds: float  # from its start


@contextmanager
def started(
    command: Sequence[str], log: Path, health: str = "/readyz", **how: Any
) -> Iterator[Service]:
    """A server for as long as the block runs.

    Args:
        command: Starts it; `--port` is added.
        log: For its output, which is shown where it does not come up.
        health: What answers 200 as soon as it is ready.
        how: Goes to `subprocess.Popen`.
    """
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", port], stdout=output, stderr=subprocess.STDOUT, **how
        )
    try:
        _wait_until_ready(url + health, process, log)
        yield Service(url, process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    began = time.perf_counter()
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        if process.poll() is not None or time.perf_counter() - began > PATIENCE:
            sys.exit(f"{process.args!r} did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.02)


def serving(*arguments: str) -> AbstractContextManager[Service]:
    """`kindred serve` in the working directory."""
    return started([sys.executable, "-m", "services.cli", "serve", *arguments], Path("serve.log"))


async def until_served(url: str, version: str) -> None:
    """Wait until a service has taken a version over."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        while (await client.get("/v1/model")).json()["version"] != version:
            await asyncio.sleep(0.2)


@dataclass
class Answer:
    """What one request got, and when."""

    asked: dict[str, Any]
    status: int = 0  # 0: no answer
    body: dict[str, Any] = field(default_factory=dict)
    ms: float = 0.0


Request = Callable[[aiohttp.ClientSession, int], Awaitable[Answer]]


async def ask(session: aiohttp.ClientSession, asked: dict[str, Any]) -> Answer:
    """One search."""
    answer = Answer(asked)
    began = time.perf_counter()
    try:
        async with session.post("/v1/search", json=asked) as response:
            answer.status = response.status
            answer.body = await response.json()
    except aiohttp.ClientError as error:
        answer.body = {"detail": repr(error)}
    answer.ms = 1000 * (time.perf_counter() - began)
    return answer


async def load(
    url: str, searches: Sequence[dict[str, Any]], clients: int, enough: Callable[[int], bool]
) -> list[Answer]:
    """Search from many clients, each one search after the other, until there are enough answers.

    Client number c begins with search c, so that together they ask all of them.
    """
    answers: list[Answer] = []

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
            turn = number
            while not enough(len(answers)):
                answers.append(await ask(session, searches[turn % len(searches)]))
                turn += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    return answers


def percentile(answers: Sequence[Answer], percent: int) -> float:
    """Of the latencies, milliseconds."""
    times = sorted(answer.ms for answer in answers)
    return times[min(len(times) - 1, len(times) * percent // 100)]


def per_second(url: str, searches: Sequence[dict[str, Any]], clients: int, count: int) -> float:
    """Requests a second, after a tenth of them as a warm-up."""
    asyncio.run(load(url, searches, clients, lambda answered: answered >= count // 10))
    began = time.perf_counter()
    answers = asyncio.run(load(url, searches, clients, lambda answered: answered >= count))
    seconds = time.perf_counter() - began
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        sys.exit(f"{len(failed)} of {len(answers)} searches failed: {failed[0].body}")
    return len(answers) / seconds


def photos_of(product: Product, count: int = 5) -> list[bytes]:
    """Photos of one thing, as a telephone would give them: other crops and light; JPEG."""
    with Image.open(io.BytesIO(product.thumbnail)) as image:
        whole = image.convert("RGB").resize((512, 512))
    photos = []
    for number in range(count):
        cut = 12 * number
        photo = whole.crop((cut, cut // 2, 512 - cut // 2, 512 - cut)).rotate(3 * number - 6)
        buffer = io.BytesIO()
        ImageEnhance.Brightness(photo).enhance(0.85 + 0.08 * number).save(buffer, "JPEG")
        photos.append(buffer.getvalue())
    return photos


def teach(url: str, name: str, product: Product) -> float:
    """Teach the service a product as a concept; milliseconds."""
    files = [("photos", (f"{at}.jpg", jpeg)) for at, jpeg in enumerate(photos_of(product))]
    began = time.perf_counter()
    response = httpx.post(
        f"{url}/v1/concepts",
        data={"name": name, "noun": noun_of(product)},
        files=files,
        timeout=PATIENCE,
    )
    if response.status_code != 201:
        sys.exit(f"teaching {name} failed: {response.text}")
    return 1000 * (time.perf_counter() - began)


def forget(url: str, name: str) -> None:
    """Forget a concept."""
    httpx.delete(f"{url}/v1/concepts/{name}", timeout=PATIENCE).raise_for_status()


def noun_of(product: Product) -> str:
    """What kind of thing it is."""
    return product.attributes.get("kind") or product.category or "thing"


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that computes on one core."""
    command = [sys.executable, "-c", "while True: sum(range(1000))"]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants, shared pages counted once (PSS)."""
    import psutil

    root = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in [root, *root.children(recursive=True)])
