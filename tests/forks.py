"""Children of a process that has imported everything: killed, they are killed at work.

Starting a process anew for each kill takes seconds of imports, during which nothing can go wrong.
"""

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
LIBRARIES = """
import alembic.command, cryptography.fernet, faiss, milvus_lite.server_manager, mlflow.pyfunc
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
import open_clip, pymilvus
"""  # what verbs of the registry import
_SERVER = """
import os, signal, sys, time, traceback
print("ready", flush=True)
for line in sys.stdin:
    seconds, _, call = line.strip().partition(" ")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # what it prints is no answer
        try:
            exec(call)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if float(seconds) >= 0:
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs calls in Python, each in a child of its own; `with` ends the process."""

    def __init__(self, imports: str) -> None:
        """Start it.

        Args:
            imports: What it executes first, in Python; it starts no threads.
        """
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", imports + _SERVER],
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._server.stdout is not None
        assert self._read() == "ready"

    def __enter__(self) -> "Forks":
        """As it is."""
        return self

    def __exit__(self, *_: object) -> None:
        """No more calls."""
        self._server.communicate()

    def run(self, call: str, kill_after: float | None = None) -> int:
        """Run a line of Python; its exit code, which is -9 where it was killed at work.

        Args:
            call: The line.
            kill_after: So many seconds after its beginning it is killed; None for never.
        """
        assert self._server.stdin is not None
        seconds = -1 if kill_after is None else kill_after
        self._server.stdin.write(f"{seconds} {call}\n")
        self._server.stdin.flush()
        return int(self._read())

    def _read(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()
