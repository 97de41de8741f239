"""An embedding endpoint that speaks HTTP on the loopback, and answers as the test has it."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WIDTH = 384
# Status, headers and body of an answer, from the texts that are asked for.
Script = Callable[[list[str]], tuple[int, dict[str, str], Any]]


def vector_of(text: str, width: int = WIDTH) -> list[float]:
    """Numbers drawn by a hash of the text."""
    digest = hashlib.shake_256(text.encode()).digest(width)
    return [byte / 128 - 1 for byte in digest]


def answer(texts: list[str], **changed: Any) -> tuple[int, dict[str, str], Any]:
    """What a good endpoint says, with some of it changed."""
    data = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
    tokens = sum(len(text.split()) for text in texts)
    return 200, {}, {"data": data, "usage": {"total_tokens": tokens}} | changed


class Endpoint:
    """What was asked, and how the next requests are answered: each script once, then well."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.asked: list[list[str]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.scripts: list[Script] = []
        self.always: Script = answer
        self.mutex = threading.Lock()

    def take(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, str], Any]:
        with self.mutex:
            self.requests.append(body)
            self.asked.append(body["input"])
            self.keys.append(key)
            script = self.scripts.pop(0) if self.scripts else self.always
        return script(body["input"])


@contextmanager
def serving(port: int = 0) -> Iterator[Endpoint]:
    """An endpoint at this port of the loopback, or at one of its own."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            status, headers, told = endpoint.take(body, self.headers.get("Authorization"))
            if self.path != "/v1/embeddings":
                status, headers, told = 404, {}, {"error": f"no {self.path} here"}
            content = told if isinstance(told, bytes) else json.dumps(told).encode()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                pass  # who asked has given up waiting

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint.port = server.server_port
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
