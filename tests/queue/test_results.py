"""Waiting for results: who waits, how often the database is asked, and what is said when it never comes."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.waiting import until

from taskhub import Hub, Status
from taskhub.queue import JobFailed, JobNotDone, UnknownJob, sql
from taskhub.queue.results import Lookout


@pytest.fixture
def asked(hub: Hub) -> Iterator[list[float]]:
    """When each statement about results was sent."""
    times: list[float] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "Where jobs stand" in statement:
            times.append(time.monotonic())

    event.listen(hub.engine, "before_cursor_execute", note)
    yield times
    event.remove(hub.engine, "before_cursor_execute", note)


def test_many_coroutines_wait_with_few_statements_and_one_thread(
    hub: Hub, asked: list[float]
) -> None:
    @hub.task
    async def twice(n: int) -> int:
        return 2 * n

    jobs = twice.defer_many([{"n": n} for n in range(1000)])
    threads: list[int] = []

    async def run() -> list[int]:
        waiting = asyncio.gather(*(job.result_async(timeout=60) for job in jobs))
        await asyncio.to_thread(
            until, lambda: len(asked) > 1 and asked[-1] - asked[-2] > 0.5, "a look twice a second"
        )
        threads.append(threading.active_count())
        await hub.run_worker_async(wait=False)
        return await waiting

    before = threading.active_count()
    results = asyncio.run(run())

    assert results == [2 * n for n in range(1000)]
    assert threads[0] <= before + 2  # the one that looks, and asyncio's own
    assert len(asked) < 200


def test_many_threads_wait_with_few_statements(hub: Hub, asked: list[float]) -> None:
    @hub.task
    async def twice(n: int) -> int:
        return 2 * n

    jobs = twice.defer_many([{"n": n} for n in range(200)])
    with ThreadPoolExecutor(200) as pool:
        futures = [pool.submit(job.result, 60) for job in jobs]
        until(lambda: len(asked) > 5, "the first looks")
        hub.run_worker(wait=False)
        results = [future.result() for future in futures]

    assert results == [2 * n for n in range(200)]
    seconds = asked[-1] - asked[0]
    assert len(asked) <= 20 + 200 * seconds


def test_results_of_jobs_that_are_done_come_at_once(hub: Hub) -> None:
    @hub.task
    async def twice(n: int) -> int:
        return 2 * n

    jobs = twice.defer_many([{"n": n} for n in range(100)])
    hub.run_worker(wait=False)

    began = time.monotonic()
    assert [job.result() for job in jobs] == [2 * n for n in range(100)]
    assert time.monotonic() - began < 5  # no pause between two that follow each other


def test_a_wait_ends_when_its_time_is_up(hub: Hub) -> None:
    @hub.task
    async def never() -> None: ...

    job = never.defer()

    began = time.monotonic()
    with pytest.raises(JobNotDone, match=rf"job {job.id} is still todo after 0.3 seconds"):
        job.result(timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    with pytest.raises(JobNotDone):
        job.result(timeout=0)
    with pytest.raises(JobNotDone):
        asyncio.run(job.result_async(timeout=0.01))


def test_a_coroutine_that_is_cancelled_waits_no_more(hub: Hub, asked: list[float]) -> None:
    @hub.task
    async def never() -> None: ...

    job = never.defer()

    async def run() -> None:
        async with asyncio.timeout(0.1):
            await job.result_async()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    until(lambda: not hub.lookout._asks, "the end of the looks")


def test_nobody_looks_for_those_who_wait_no_more() -> None:
    looked: list[list[int]] = []

    def look(job_ids: Sequence[int]) -> list[Any]:
        looked.append(list(job_ids))
        return []

    lookout = Lookout(look)
    with lookout._changed:  # its thread stands still
        lookout.ask(1, None).cancel()
    until(lambda: not lookout._asks, "the end of the wait")
    assert lookout.ask(2, None).result(5) is None

    assert looked == [[2]]


def test_how_a_job_failed_is_said_to_all_who_wait(hub: Hub) -> None:
    @hub.task
    async def breaks() -> None:
        raise ValueError("no such thing")

    job, cancelled = breaks.defer(), breaks.defer()
    cancelled.cancel(reason="not needed")
    hub.run_worker(wait=False)

    with pytest.raises(JobFailed, match="failed: ValueError: no such thing"):
        job.result()
    with pytest.raises(JobFailed, match="cancelled"):
        asyncio.run(cancelled.result_async())


def test_inside_the_transaction_that_deferred_it_a_job_cannot_be_waited_for(hub: Hub) -> None:
    @hub.task
    async def noop() -> None: ...

    with hub.transaction():
        job = noop.defer()
        with pytest.raises(UnknownJob, match="a transaction is open here"):
            job.result(timeout=60)

    async def run() -> None:
        async with hub.transaction_async():
            other = await noop.defer_async()
            with pytest.raises(UnknownJob, match="a transaction is open here"):
                await other.result_async(timeout=60)
        await hub._leave_loop()

    asyncio.run(run())
    assert job.status() is Status.TODO


def test_a_job_that_was_rolled_back_is_not_said_to_be_past_its_retention(hub: Hub) -> None:
    @hub.task
    async def noop() -> None: ...

    with pytest.raises(RuntimeError), hub.transaction():
        job = noop.defer()
        raise RuntimeError

    with pytest.raises(UnknownJob, match="may not have committed yet"):
        job.result()


def test_a_job_whose_history_is_dropped_is_past_its_retention(hub: Hub) -> None:
    @hub.task
    async def noop() -> None: ...

    @hub.task
    async def breaks() -> None:
        raise ValueError

    done, failed = noop.defer(), breaks.defer()
    hub.run_worker(wait=False)
    with hub.engine.begin() as connection:
        connection.execute(text("DELETE FROM taskhub.procrastinate_jobs"))
    with pytest.raises(UnknownJob, match=f"job {failed.id} is past its retention"):
        failed.result()

    assert done.result() is None
    with hub.engine.begin() as connection:
        connection.execute(text("DROP TABLE taskhub.attempts_0"))
    with pytest.raises(UnknownJob, match=f"job {done.id} is past its retention"):
        done.result()
    with pytest.raises(UnknownJob, match="past its retention"):
        asyncio.run(done.result_async())


def test_a_look_costs_the_same_whatever_the_history_holds(hub: Hub) -> None:
    @hub.task
    async def noop(n: int) -> None: ...

    jobs = noop.defer_many([{"n": n} for n in range(50)])
    hub.run_worker(wait=False)
    waiting = noop.defer_many([{"n": n} for n in range(50)])
    query = sql.load("read_results", hub.settings.schema)
    ids = [job.id for job in jobs + waiting]

    def buffers() -> int:
        with hub.engine.connect() as connection:
            for _ in range(2):  # the first call of a session also reads the catalog
                [plan] = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", {"job_ids": ids}
                ).scalar_one()
        return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

    few = buffers()
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name, task_name) "
                "SELECT n, 1, 1, 'succeeded', 'q', 't' FROM generate_series(1000, 40000) AS n"
            )
        )
    noop.defer_many([{"n": n} for n in range(20_000)])

    assert buffers() < 2 * few
