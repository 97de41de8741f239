"""How long a job waits from defer to start at a steady rate, as a multiple of what Postgres needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from statistics import quantiles
from typing import Any

import psycopg
from _report import Report, options, progress
from _server import server
from _side_latency import CHANNEL, make_hub
from _side_taskhub import prepare
from _sides import Side, Worker

METHOD = """\
One process defers 300 jobs/s over four autocommit connections on a fixed timetable, another one works
with 20 slots; a job's time runs from the call of defer to the first line of its task. The floor is
taken between, at the same rate over the same connections: one INSERT and a NOTIFY in one commit, until
a listener in a process of its own has it. Floor and jobs take turns in slices of 5 s, 20 s each in all,
after a second of each that is not counted. The multiples are of the floor's median."""

RATE = 300
CONNECTIONS = 4
SLICE_SECONDS = 5
WARM_SECONDS = 1
Send = Callable[[psycopg.AsyncConnection[Any]], Awaitable[object]]
SIDE = Side(name="latency", script="latency", jobs=0)


async def steadily(seconds: float, connections: list[Any], send: Send) -> None:
    """Call `send` RATE times a second; a slow call makes those behind it late, not fewer."""
    free: asyncio.Queue[Any] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def one() -> None:
        connection = await free.get()
        try:
            await send(connection)
        finally:
            free.put_nowait(connection)

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for n in range(round(seconds * RATE)):
            await asyncio.sleep(max(begin + n / RATE - time.monotonic(), 0))
            group.create_task(one())


async def produce(url: str, slices: int) -> list[tuple[float, float, str]]:
    """Send floor and jobs in turns; when each slice that counts began and ended, and what it was."""
    hub = make_hub(url)
    stamp = hub.tasks["stamp"]
    connections = [
        await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(CONNECTIONS)
    ]

    async def floor(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(
            "WITH written AS (INSERT INTO bench_floor (at) VALUES (now()) RETURNING 1)"
            " SELECT pg_notify(%s, %s) FROM written",
            (CHANNEL, repr(time.monotonic())),
        )

    async def job(connection: psycopg.AsyncConnection[Any]) -> None:
        await stamp.options(connection=connection).defer_async(sent=time.monotonic())

    for send in (floor, job):
        await steadily(WARM_SECONDS, connections, send)
    counted = []
    turns = cycle((("floor", floor), ("jobs", job)))
    for _, (what, send) in zip(range(2 * slices), turns, strict=False):
        begin = time.monotonic()
        await steadily(SLICE_SECONDS, connections, send)
        counted.append((begin, time.monotonic(), what))
        progress(f"{what}: {SLICE_SECONDS} s")
        await asyncio.sleep(0.5)  # the last jobs of a slice do not meet the first of the next
    for connection in connections:
        await connection.close()
    return counted


def collect(url: str, slices: int, concurrency: int) -> dict[str, list[float]]:
    """Milliseconds on the way, of the floor and of the jobs."""
    worker = Worker(SIDE.start("work", url, "--concurrency", str(concurrency)))
    listener = Worker(SIDE.start("listen", url))
    try:
        for side in (worker, listener):
            side.wait_ready()
        worker.go()
        counted = asyncio.run(produce(url, slices))
        time.sleep(1)  # what is still under way arrives, or is missing from the count below
        worker.process.terminate()
        listener.go()
        arrived = {"jobs": worker.result()["arrived"], "floor": listener.result()["arrived"]}
    finally:
        worker.end()
        listener.end()
    found = {}
    for what, pairs in arrived.items():
        spans = [(begin, end) for begin, end, name in counted if name == what]
        found[what] = [
            (at - sent) * 1000
            for sent, at in pairs
            if any(begin <= sent <= end for begin, end in spans)
        ]
        sent = slices * SLICE_SECONDS * RATE
        if len(found[what]) != sent:
            raise RuntimeError(f"{sent} were sent as {what}, {len(found[what])} arrived")
    return found


def main() -> None:
    """Run the slices."""
    asked = options(__doc__ or "", jobs=RATE * 20, pairs=1, concurrency=20)
    report = Report("latency", "from defer to start at 300 jobs/s", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        with postgres.database("taskhub", lay_out) as url:
            slices = max(asked.jobs // RATE // SLICE_SECONDS, 1)
            found = collect(url, slices, asked.concurrency)
    floor = quantiles(found["floor"], n=100)
    jobs = quantiles(found["jobs"], n=100)
    base = floor[49]
    report.note("floor: ms, median and 99 %", f"{base:.2f} and {floor[98]:.2f}")
    report.note("jobs: ms, median and 99 %", f"{jobs[49]:.2f} and {jobs[98]:.2f}")
    report.note("jobs: ms, longest", f"{max(found['jobs']):.1f}")
    report.at_most("median / floor", f"{jobs[49] / base:.2f}", jobs[49] / base, 3)
    report.at_most("99 % / floor", f"{jobs[98] / base:.2f}", jobs[98] / base, 15)
    report.finish(asked)


def lay_out(url: str) -> None:
    """taskhub's schema, and the table that the floor writes to."""
    prepare(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_floor (at timestamptz)")


if __name__ == "__main__":
    main()
