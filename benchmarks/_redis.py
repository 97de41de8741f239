"""A Redis of the benchmark's own, on a socket, without files: kinder to Celery than a durable one."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 10


def binary() -> str | None:
    """Where redis-server is, if it is installed."""
    return shutil.which("redis-server")


def version() -> str:
    """Its version's number."""
    said = subprocess.run(  # noqa: S603 - found in PATH
        [binary() or "redis-server", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return said.split("v=")[1].split()[0]


@contextmanager
def redis_server() -> Iterator[None]:
    """Start it, and name its socket to the sides in BENCH_REDIS_SOCKET."""
    with tempfile.TemporaryDirectory(prefix="taskhub-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        argv = [binary() or "redis-server", "--port", "0", "--unixsocket", str(socket)]
        argv += ["--dir", folder, "--save", "", "--appendonly", "no"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - as above
            try:
                _wait_for(socket)
                os.environ["BENCH_REDIS_SOCKET"] = str(socket)
                yield
            finally:
                os.environ.pop("BENCH_REDIS_SOCKET", None)
                process.terminate()


def _wait_for(socket: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not socket.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"redis-server made no socket within {START_SECONDS} s")
        time.sleep(0.02)
