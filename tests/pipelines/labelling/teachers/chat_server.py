"""A chat server on loopback that answers by a script and remembers what it was asked."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(content, **usage):
    """A 200 with this content."""
    body = {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}
    return 200, body


def ranking(*numbers, **usage):
    """A 200 that ranks pictures."""
    return completion(json.dumps({"ranking": list(numbers)}), **usage)


class ChatServer:
    """Answers each request with what `script(number, body)` returns.

    That is a status, a body (JSON, or bytes as they are), and perhaps headers and seconds to wait
    before. Requests are numbered from 0 in the order in which they come.
    """

    def __init__(self, script):
        self.script = script
        self.bodies, self.headers, self.paths, self.times = [], [], [], []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _note(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.bodies.append(body)
            self.headers.append(dict(handler.headers))
            self.paths.append(handler.path)
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            return len(self.bodies) - 1, body

    def _handler(server):  # `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it holds every body back for 40 ms

            def do_POST(self):
                number, body = server._note(self)
                status, content, *more = server.script(number, body)
                headers, seconds = (*more, *({}, 0)[len(more) :])
                time.sleep(seconds)
                with server.lock:  # before the answer: the client may ask again at once
                    server.at_once -= 1
                with contextlib.suppress(OSError):  # the client has hung up
                    self._send(status, content, headers)

            def _send(self, status, content, headers):
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        return Handler
