"""The receiving ends of `latency`: a worker that notes when jobs start, and a plain listener.

Both note pairs (when it was sent, when it arrived) on the machine's monotonic clock, and tell them
when they are asked to end.
"""

import argparse
import threading
import time

import psycopg
from _cues import tell, wait_for_go
from psycopg import sql

from taskhub import Hub
from taskhub.settings import Settings

CHANNEL = "bench_floor"


def make_hub(url: str, arrived: list[tuple[float, float]] | None = None) -> Hub:
    """A hub whose one task notes when it started."""
    hub = Hub(settings=Settings(database_url=url))
    notes = [] if arrived is None else arrived

    @hub.task(name="stamp", queue="bench")
    async def stamp(sent: float) -> None:
        notes.append((sent, time.monotonic()))

    return hub


def work(url: str, concurrency: int) -> None:
    """Be a worker until SIGTERM; "ready" comes with its start, the first jobs may wait for it."""
    arrived: list[tuple[float, float]] = []
    hub = make_hub(url, arrived)
    wait_for_go()
    hub.run_worker(queues=["bench"], concurrency=concurrency)
    tell(arrived=arrived)


def listen(url: str) -> None:
    """Note each notification until a line comes."""
    arrived: list[tuple[float, float]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        over = threading.Event()

        def wait_for_end() -> None:
            wait_for_go()
            over.set()

        threading.Thread(target=wait_for_end, daemon=True).start()
        while not over.is_set():
            arrived.extend(
                (float(notified.payload), time.monotonic())
                for notified in connection.notifies(timeout=0.5, stop_after=1)
            )
    tell(arrived=arrived)


def main() -> None:
    """The command line that `latency` speaks."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--concurrency", type=int, default=20)
    verbs.add_parser("listen").add_argument("url")
    asked = parser.parse_args()
    if asked.verb == "work":
        work(asked.url, asked.concurrency)
    else:
        listen(asked.url)


if __name__ == "__main__":
    main()
