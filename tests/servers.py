"""Real servers for tests, each in a folder of its own: MLflow, Milvus, PostgreSQL."""

import os
import pwd
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import yaml
from filelock import FileLock

from retrieval.index.store import open_store

MILVUS = "milvus==2.3.5"
PATIENCE = 120  # seconds
QUEUE = 1200  # seconds: another process's tests may have a Milvus server
# Of the system, not of a test: two Milvus servers at once want the same port for their etcd.
MILVUS_LOCK = Path(tempfile.gettempdir()) / "kindred-milvus.lock"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def postgresql():
    """The address of a server of PostgreSQL, Debian's, without a database's name."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    owner = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses root
    port = free_port()
    # Not pytest's own folder: nobody but its owner gets through that.
    with tempfile.TemporaryDirectory(prefix="kindred-") as folder:
        if owner:
            os.chown(folder, pwd.getpwnam(owner).pw_uid, -1)

        def run(program, *arguments):
            subprocess.run(
                [programs[-1] / program, *arguments, "-D", f"{folder}/data"],
                check=True,
                timeout=PATIENCE,
                cwd=folder,
                user=owner,
                stdout=subprocess.DEVNULL,
            )

        run("initdb", "-U", "kindred", "--auth=trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql+psycopg://kindred@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


@contextmanager
def mlflow_server(database, folder):
    """The address of an MLflow server over a database, with its artifacts in `folder`."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts"),
        "--workers", "1",
    ]  # fmt: skip
    settings = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # or it takes as long again to start
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    url = f"http://127.0.0.1:{port}"
    with _process(command, folder, {**others, **settings}) as (server, log):
        _until_it_answers(server, log, lambda: _is_healthy(url))
        yield url


@contextmanager
def milvus_server(folder):
    """The address of a Milvus server; waits where other tests have one."""
    with FileLock(MILVUS_LOCK, timeout=QUEUE):
        uv, python = str(Path(sys.executable).with_name("uv")), folder / "env/bin/python"
        subprocess.run(
            [uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True
        )
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, MILVUS], check=True)
        command = [str(folder / "env/bin/milvus-server"), "--data", str(folder / "data")]
        with _process(command, folder, None) as (server, log):
            # Which port it takes it writes before it starts the server proper: of 19530 and those
            # after it the first that no connection of the server before still holds.
            _until_it_answers(server, log, psutil.Process(server.pid).children)
            written = yaml.safe_load((folder / "data/configs/milvus.yaml").read_text())
            uri = f"http://127.0.0.1:{written['proxy']['port']}"
            _until_it_answers(server, log, lambda: _lists_collections(uri))
            yield uri


@contextmanager
def _process(command, folder, env):
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield server, log
    finally:
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            process.kill()  # the server proper outlives its wrapper otherwise
        server.wait(PATIENCE)


def _until_it_answers(server, log, answers):
    deadline = time.monotonic() + PATIENCE
    while not answers():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"no answer in {PATIENCE} s: {log.read_text()}"
        time.sleep(0.5)


def _is_healthy(url):
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _lists_collections(uri):
    try:
        open_store(uri).list_keys()
    except ConnectionError:
        return False
    return True


class Cut(socketserver.ThreadingTCPServer):
    """A server that goes away: passes so many requests on, then answers nobody."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, url, requests):
        super().__init__(("127.0.0.1", 0), _CutHandler)
        self.beyond = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.left = requests
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _CutHandler(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.beyond) as beyond:
            back = threading.Thread(target=_pass_on, args=(beyond, self.request), daemon=True)
            back.start()
            while data := self.request.recv(1 << 16):
                if data.split(b" ", 1)[0] in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"):
                    self.server.left -= 1
                if self.server.left < 0:
                    return
                beyond.sendall(data)


def _pass_on(source, target):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
