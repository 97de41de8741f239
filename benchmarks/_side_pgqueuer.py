"""pgqueuer on asyncpg as a side, with its default durability and uvloop, as its own `pgq run` has it."""

import argparse
import json
import time
from datetime import timedelta

import asyncpg  # type: ignore[import-untyped,unused-ignore]  # no types of its own
import uvloop  # type: ignore[import-not-found,unused-ignore]  # only in the peers' venv
from _cues import tell, wait_for_go
from pgqueuer.core.qm import QueueManager  # type: ignore[import-not-found,unused-ignore]  # as above
from pgqueuer.db import AsyncpgDriver  # type: ignore[import-not-found,unused-ignore]  # as above
from pgqueuer.models import Job  # type: ignore[import-not-found,unused-ignore]  # as above
from pgqueuer.queries import Queries  # type: ignore[import-not-found,unused-ignore]  # as above
from pgqueuer.types import (  # type: ignore[import-not-found,unused-ignore]  # as above
    QueueExecutionMode,
)

CHUNK = 10_000


async def prepare(url: str) -> None:
    """Install its schema into an empty database."""
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def enqueue(url: str, jobs: int, chunk: int) -> float:
    """Store the jobs by its bulk enqueue in one transaction; the seconds it took with its commit."""
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    began = time.monotonic()
    async with connection.transaction():
        for start in range(0, jobs, chunk):
            numbers = range(start, min(start + chunk, jobs))
            payloads: list[bytes | None] = [json.dumps({"n": n}).encode() for n in numbers]
            await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))
    seconds = time.monotonic() - began
    await connection.close()
    return seconds


async def work(url: str, batch: int) -> None:
    """Run what is there to its end."""
    connection = await asyncpg.connect(url)
    manager = QueueManager(Queries(AsyncpgDriver(connection)))

    @manager.entrypoint("noop")  # type: ignore[untyped-decorator,unused-ignore]  # untyped outside the peers' venv
    async def noop(job: Job) -> None:
        json.loads(job.payload or b"{}")

    wait_for_go()
    await manager.run(
        dequeue_timeout=timedelta(milliseconds=20),
        batch_size=batch,
        mode=QueueExecutionMode.drain,
    )
    tell()
    await connection.close()


async def time_enqueue(url: str, jobs: int, chunk: int) -> None:
    """As a worker does it: ready, go, tell."""
    wait_for_go()
    tell(seconds=await enqueue(url, jobs, chunk))


def main() -> None:
    """The command line that `_sides` speaks."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    for verb in ("load", "enqueue"):
        loading = verbs.add_parser(verb)
        loading.add_argument("url")
        loading.add_argument("jobs", type=int)
        loading.add_argument("--chunk", type=int, default=CHUNK)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--batch", type=int, default=200)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        uvloop.run(prepare(asked.url))
    elif asked.verb == "load":
        uvloop.run(enqueue(asked.url, asked.jobs, asked.chunk))
    elif asked.verb == "enqueue":
        uvloop.run(time_enqueue(asked.url, asked.jobs, asked.chunk))
    else:
        uvloop.run(work(asked.url, asked.batch))


if __name__ == "__main__":
    main()
