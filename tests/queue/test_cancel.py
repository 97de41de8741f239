"""A running job that somebody asks to stop hears it within two seconds, whatever else its worker does."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text
from tests.waiting import until

from taskhub import Context, Hub, Status
from taskhub.queue import sql
from taskhub.queue.jobs import Job
from taskhub.queue.tick import Ticker

STARTED: set[int] = set()
SEEN: dict[int, float] = {}


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    STARTED.clear()
    SEEN.clear()


def declare(hub: Hub) -> None:
    @hub.task(name="async")
    async def on_the_loop(ctx: Context) -> None:
        STARTED.add(ctx.job_id)
        try:
            await asyncio.Event().wait()
        finally:
            SEEN[ctx.job_id] = time.monotonic()

    @hub.task(name="thread")
    def in_a_thread(ctx: Context) -> None:
        STARTED.add(ctx.job_id)
        until(lambda: ctx.cancelled, "the request")
        SEEN[ctx.job_id] = time.monotonic()
        raise InterruptedError("stopped halfway")  # had it returned, its result would count

    @hub.task(name="quick")
    async def quick() -> None:
        await asyncio.sleep(0.001)


@contextmanager
def working(hub: Hub) -> Iterator[None]:
    worker = hub.worker()
    thread = threading.Thread(target=lambda: asyncio.run(worker.run()))
    thread.start()
    try:
        yield
    finally:
        worker.stop(0.0)
        thread.join(20)
        assert not thread.is_alive()


def seconds_to_hear(hub: Hub, job: Job[Any]) -> float:
    until(lambda: job.id in STARTED, "the start")
    asked_at = time.monotonic()
    job.cancel(reason="not needed")
    until(lambda: job.id in SEEN, "the end")
    until(lambda: job.status() is Status.ABORTED, "the outcome")
    return SEEN[job.id] - asked_at


@pytest.mark.parametrize("name", ["async", "thread"])
def test_a_running_job_hears_it(hub: Hub, name: str) -> None:
    declare(hub)
    job = hub.tasks[name].defer()

    with working(hub):
        assert seconds_to_hear(hub, job) < 2.0


@pytest.mark.parametrize("name", ["async", "thread"])
def test_a_running_job_hears_it_while_its_worker_is_saturated(hub: Hub, name: str) -> None:
    declare(hub)
    jobs = [hub.tasks[name].options(priority=1).defer() for _ in range(3)]
    hub.tasks["quick"].defer_many([{}] * 3000)

    with working(hub):
        took = [seconds_to_hear(hub, job) for job in jobs]

    assert max(took) < 2.0


@pytest.mark.parametrize("name", ["async", "thread"])
def test_a_running_job_hears_it_while_the_database_is_slow_to_answer(
    hub: Hub, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticker.tick

    async def slowly(*given: Any, **how: Any) -> Any:
        answer = await tick(*given, **how)
        await asyncio.sleep(0.5)  # the answer is on its way, this is not a wait for a condition
        return answer

    monkeypatch.setattr(Ticker, "tick", slowly)
    declare(hub)
    job = hub.tasks[name].defer()
    hub.tasks["quick"].defer_many([{}] * 100)

    with working(hub):
        assert seconds_to_hear(hub, job) < 2.0


def test_a_request_outlives_the_worker_that_was_to_hear_it(hub: Hub) -> None:
    declare(hub)
    job = hub.tasks["async"].defer()
    with hub.engine.begin() as connection:
        worker_id = connection.scalar(
            text("INSERT INTO taskhub.procrastinate_workers DEFAULT VALUES RETURNING id")
        )
        connection.execute(
            text(
                "INSERT INTO taskhub.workers "
                "(id, host, pid, name, version, tasks, concurrency, lease_seconds) "
                "VALUES (:id, 'h', 1, 'n', '0', '{}', 1, 1)"
            ),
            {"id": worker_id},
        )
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_jobs SET status = 'doing', claim = 1, worker_id = :id"
            ),
            {"id": worker_id},
        )
    job.cancel(reason="not needed")
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_workers SET last_heartbeat = now() - interval '1 day'"
            )
        )
        asked = {"lease_seconds": 0.0, "worker_ids": None, "what": "x"}
        connection.exec_driver_sql(sql.load("rescue_jobs", "taskhub"), asked)

    hub.run_worker(wait=False)

    assert job.status() is Status.ABORTED
    assert not STARTED
