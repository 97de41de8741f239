"""A web server on loopback that answers as a test tells it, and remembers who asked for what."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """Pages by path; `asked` holds the path and the headers of every request."""

    port: int = 0
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str, host: str = "localhost") -> str:
        """The address of a page under one of the names of this machine."""
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, content: bytes, **headers: str) -> str:
        """Serve these bytes; the address."""
        self.pages[path] = lambda asked: send(asked, 200, content, **headers)
        return self.url(path)

    def redirect(self, path: str, to: str) -> str:
        """Send whoever asks on to another address; the address."""
        self.pages[path] = lambda asked: send(asked, 302, b"", location=to)
        return self.url(path)


def send(asked: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    """One whole answer."""
    asked.send_response(status)
    for name, value in headers.items():
        asked.send_header(name.replace("_", "-"), value)
    asked.send_header("content-length", str(len(content)))
    asked.end_headers()
    asked.wfile.write(content)


def nothing(asked: BaseHTTPRequestHandler) -> None:
    """What stands at any other path."""
    send(asked, 404, b"no such page")


@contextmanager
def serving() -> Iterator[Site]:
    """A site that is up until the end."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, {n.lower(): v for n, v in self.headers.items()}))
            page = site.pages.get(self.path, nothing)
            try:
                page(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # who asked had enough of it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
