"""A running `kindred serve`, what is asked of it, and a second version to put into service."""

import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from services.client import Client
from tests.servers import free_port

PATIENCE = 90  # seconds
QUERIES = [
    "a gift for a mother who loves gardening",
    "something for a friend who bakes bread on Sundays",
    "a present for a child who dreams of trains",
    "a blue striped mug",
]
# The same version with the vectors of student and base exchanged: its answers differ.
VARIANT = """
import shutil
from pathlib import Path
from registry.checksums import write_sums
from registry.store import fetch_bundle, register_bundle
from registry.versions import find_version

bundle, other = fetch_bundle(find_version("kindred", "1")), Path("var/variant")
shutil.copytree(bundle.folder, other)
for name, source in (("student", "base"), ("base", "student")):
    shutil.copyfile(bundle.folder / f"vectors/{source}.parquet", other / f"vectors/{name}.parquet")
write_sums(other)
register_bundle(other, "kindred")
"""


class Service:
    """A running `kindred serve`."""

    def __init__(self, project, *arguments, env=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = project.folder / f"var/serve-{self.port}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "services.cli",
                    "serve",
                    "--port",
                    str(self.port),
                    *arguments,
                ],
                cwd=project.folder,
                env={**project.env, **(env or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        pytest.fail(f"not ready:\n{self.log.read_text()}")

    def stop(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        return self.process.wait(PATIENCE)

    @property
    def workers(self):
        return psutil.Process(self.process.pid).children()

    def until(self, version):
        """Wait until it serves a version, by all its workers."""
        deadline = time.monotonic() + PATIENCE
        with Client(self.url) as client:
            while client.model()["version"] != version:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)
        time.sleep(1)  # they agree within a second
