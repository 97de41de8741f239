"""Celery with Redis as a side: the broker in database 0, the stored outcomes in database 1."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis  # type: ignore[import-not-found,unused-ignore]  # only in the peers' venv
from _cues import tell, wait_for_go
from celery import Celery  # type: ignore[import-not-found,unused-ignore]  # as above

SOCKET = os.environ.get("BENCH_REDIS_SOCKET", "")
READY_SECONDS = 60

app = Celery(
    "bench",
    broker=f"redis+socket://{SOCKET}?virtual_host=0",
    backend=f"redis+socket://{SOCKET}?virtual_host=1",
)
app.conf.update(
    task_default_queue="bench",
    broker_connection_retry_on_startup=True,
    # Its documentation's advice for short tasks; the default of 4 is slower here.
    worker_prefetch_multiplier=100,
    worker_enable_remote_control=True,
)


@app.task(name="noop")  # type: ignore[untyped-decorator,unused-ignore]  # untyped outside the peers' venv
def noop(n: int) -> None:
    """Nothing."""


def load(jobs: int) -> None:
    """Send the jobs over one connection."""
    with app.producer_pool.acquire(block=True) as producer:
        for n in range(jobs):
            noop.apply_async((n,), producer=producer)


def work(pool: str, concurrency: int, jobs: int) -> None:
    """Start a worker, let it in only when it is warm, and wait until all outcomes are stored."""
    outcomes = redis.Redis(unix_socket_path=SOCKET, db=1)
    outcomes.flushdb()
    with running_worker(pool, concurrency):
        wait_for_go()
        app.control.add_consumer("bench", reply=True, timeout=1, limit=1)
        while outcomes.dbsize() < jobs:
            time.sleep(0.005)
        tell(done=jobs)


@contextmanager
def running_worker(pool: str, concurrency: int) -> Iterator[None]:
    """A worker that answers, on a queue in which nothing is."""
    argv = [sys.executable, "-m", "celery", "--app", "_side_celery", "--quiet", "worker"]
    argv += [f"--pool={pool}", f"--concurrency={concurrency}", "--queues=nothing"]
    argv += ["--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    # It warns of being root, as the benchmarks in a container are.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(  # noqa: S603 - this interpreter
        argv, cwd=Path(__file__).parent, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not app.control.ping(timeout=0.5):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the celery worker did not start")
            yield
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """The command line that `_sides` speaks; the database is not used."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    loading = verbs.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("jobs", type=int)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--pool", default="threads")
    working.add_argument("--concurrency", type=int, default=20)
    working.add_argument("--jobs", type=int, required=True)
    asked = parser.parse_args()
    if asked.verb == "load":
        load(asked.jobs)
    elif asked.verb == "work":
        work(asked.pool, asked.concurrency, asked.jobs)


if __name__ == "__main__":
    main()
