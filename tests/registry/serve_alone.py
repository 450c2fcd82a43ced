"""Start a command that serves in a network of its own, ask it, and print what it said as JSON.

    python serve_alone.py PORT REQUESTS.json COMMAND...

The network has loopback alone where the system permits that (`unshare -rn`). Each request is
{"path", "body"}, or {"path", "form", "files"}.
"""

import contextlib
import fcntl
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx

PATIENCE = 240  # seconds: a first start compiles everything that it imports
UP, SET_FLAGS = 0x1 | 0x40, 0x8914


def main() -> None:
    port, requests, *command = sys.argv[1:]
    with contextlib.suppress(OSError), socket.socket() as control:
        fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh", b"lo", UP))
    address = f"http://127.0.0.1:{port}"
    with Path("log").open("w") as log:
        served = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait(served, address)
        answers = [ask(address, one) for one in json.loads(Path(requests).read_text())]
    finally:
        served.send_signal(signal.SIGTERM)
        code = served.wait(PATIENCE)
    sys.stdout.write(json.dumps({"code": code, "outside": reaches_out(), "answers": answers}))


def wait(served: subprocess.Popen, address: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and served.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            ready = httpx.get(f"{address}/readyz").status_code == 200
            if ready or httpx.get(f"{address}/ping").status_code == 200:
                return
        time.sleep(0.2)
    sys.exit(f"it does not serve:\n{Path('log').read_text()}")


def ask(address: str, one: dict) -> object:
    files = [("photos", (name, Path(name).read_bytes())) for name in one.get("files", [])]
    how = {"json": one["body"]} if "body" in one else {"data": one.get("form"), "files": files}
    method = "POST" if how.get("json") or how.get("data") else "GET"
    answer = httpx.request(method, address + one["path"], timeout=60, **how if one else {})
    answer.raise_for_status()
    return answer.json()


def reaches_out() -> bool:
    try:
        socket.create_connection(("192.0.2.1", 9), 0.5)
    except TimeoutError:
        return True  # it was sent, at least
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
