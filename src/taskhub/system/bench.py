"""A quick measurement of the queue on a database, in a schema of its own that is dropped again."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import text

from taskhub import migrations
from taskhub.queue import Hub, Task

QUEUE = "bench"
SINGLE_SHARE = 20
LATENCY_JOBS = 100
BETWEEN_SECONDS = 0.02
PATIENCE_SECONDS = 60.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured, with jobs that do nothing, one worker in this process, one connection a defer.

    Attributes:
        round_trip_ms: of the smallest statement: what no latency can be below.
        defers_per_second: one at a time, each a transaction of its own that is committed.
        bulk_defers_per_second: by defer_many.
        drained_per_second: from the first start to the last end, on the database's clock.
        start_p50_ms, start_p95_ms: from a job's transaction to its start, the worker being idle.
    """

    jobs: int
    concurrency: int
    server: str
    synchronous_commit: str
    round_trip_ms: float
    defers_per_second: float
    bulk_defers_per_second: float
    drained_per_second: float
    start_p50_ms: float
    start_p95_ms: float


def measure(hub: Hub, *, jobs: int, concurrency: int, tell: Tell = lambda _: None) -> Measured:
    """Measure on the hub's database; its own jobs are not touched, but its server has the load.

    Takes some seconds. What it makes is dropped again, also when it is interrupted.
    """
    schema = f"taskhub_bench_{os.getpid()}_{time.time_ns() % 1_000_000}"
    settings = replace(hub.settings, schema=schema, concurrency=concurrency, app=None)
    url = hub.url.render_as_string(hide_password=False)
    scratch = Hub(settings=replace(settings, database_url=url))

    @scratch.task(name="bench_nothing", queue=QUEUE)
    async def nothing() -> None:
        return None

    tell(f"making schema {schema}")
    try:
        migrations.upgrade(scratch.engine, scratch.settings, queue_only=True)
        return _measure(scratch, nothing, jobs, tell)
    finally:
        _drop(scratch, schema)
        scratch.close()


def _measure(hub: Hub, task: Task[[], None], jobs: int, tell: Tell) -> Measured:
    with hub.engine.connect() as connection:
        server = str(connection.scalar(text("SHOW server_version")))
        commit = str(connection.scalar(text("SHOW synchronous_commit")))
    concurrency = hub.settings.concurrency
    singles = max(jobs // SINGLE_SHARE, 1)
    tell(f"deferring {singles} jobs one by one")
    one_by_one = _defer_one_by_one(task, singles)
    tell(f"deferring {jobs} jobs at once")
    bulk = _defer_many(task, jobs)
    tell(f"draining {jobs + singles} jobs, {concurrency} at once")
    hub.run_worker(concurrency=concurrency, wait=False)
    drained = _drained(hub)
    tell(f"timing the start of {LATENCY_JOBS} jobs")
    p50, p95 = _latency(hub, task)
    return Measured(
        jobs=jobs,
        concurrency=concurrency,
        server=server,
        synchronous_commit=commit,
        round_trip_ms=_round_trip(hub),
        defers_per_second=one_by_one,
        bulk_defers_per_second=bulk,
        drained_per_second=drained,
        start_p50_ms=p50,
        start_p95_ms=p95,
    )


def _round_trip(hub: Hub) -> float:
    with hub.engine.connect() as connection:
        times = []
        for _ in range(50):
            began = time.perf_counter()
            connection.execute(text("SELECT 1"))
            times.append(time.perf_counter() - began)
    return round(sorted(times)[len(times) // 2] * 1000, 3)


def _defer_one_by_one(task: Task[[], None], jobs: int) -> float:
    began = time.perf_counter()
    for _ in range(jobs):
        task.defer()
    return round(jobs / (time.perf_counter() - began), 1)


def _defer_many(task: Task[[], None], jobs: int) -> float:
    began = time.perf_counter()
    task.defer_many([{}] * jobs)
    return round(jobs / (time.perf_counter() - began), 1)


def _drained(hub: Hub) -> float:
    [row] = hub.read("bench_drained")
    jobs_per_second: float = row["jobs"] / max(row["seconds"], 0.001)
    return round(jobs_per_second, 1)


def _latency(hub: Hub, task: Task[[], None]) -> tuple[float, float]:
    with _working(hub):
        warm = task.defer()
        warm.result(timeout=PATIENCE_SECONDS)
        jobs = []
        for _ in range(LATENCY_JOBS):
            jobs.append(task.defer())
            time.sleep(BETWEEN_SECONDS)
        for job in jobs:
            job.result(timeout=PATIENCE_SECONDS)
    [row] = hub.read("bench_latency", after_id=warm.id)
    return round(row["p50_seconds"] * 1000, 2), round(row["p95_seconds"] * 1000, 2)


@contextmanager
def _working(hub: Hub) -> Iterator[None]:
    """A worker in a thread with a loop of its own, stopped at the end."""
    import asyncio

    loop = asyncio.new_event_loop()
    running = loop.create_task(hub.run_worker_async(queues=[QUEUE]))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(running)

    thread = threading.Thread(target=run, name="bench worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(running.cancel)
        thread.join(PATIENCE_SECONDS)
        loop.close()


def _drop(hub: Hub, schema: str) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
