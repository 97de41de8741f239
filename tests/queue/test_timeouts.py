"""`timeout=` on the loop and in threads, and what cannot be declared."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from taskhub import Backoff, Context, Hub, Status


@pytest.fixture
def impatient(hub: Hub) -> Hub:
    """A hub that gives late jobs a fifth of a second to end by themselves."""
    hub.__dict__["settings"] = replace(hub.settings, timeout_grace_seconds=0.2)
    return hub


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def test_a_late_coroutine_is_cancelled_and_fails_with_its_reason(impatient: Hub) -> None:
    cancelled = threading.Event()

    @impatient.task(timeout=0.1)
    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @impatient.task(timeout=30)
    async def answers(n: int) -> int:
        return n

    late, quick = waits.defer(), answers.defer(3)
    work(impatient)

    assert cancelled.is_set()
    assert late.status() is Status.FAILED
    assert late.attempts()[0].error_class == "taskhub.queue.execution.TaskTimeout"
    assert late.attempts()[0].error_message == "timed out after 0.1 s"
    assert quick.result(timeout=0) == 3


def test_a_timeout_obeys_retry(impatient: Hub) -> None:
    @impatient.task(
        timeout=0.05, retry=Backoff(max_attempts=2, first_seconds=0.01, on=(TimeoutError,))
    )
    async def waits() -> None:
        await asyncio.sleep(60)

    job = waits.defer()
    while job.status() is Status.TODO:
        work(impatient)

    assert [a.outcome for a in job.attempts()] == ["retried", "failed"]


def test_a_coroutine_that_swallows_its_cancel_is_left_behind(
    impatient: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[asyncio.Event] = []

    @impatient.task(timeout=0.1)
    async def stubborn() -> None:
        ends.append(asyncio.Event())
        while not ends[0].is_set():
            try:
                await ends[0].wait()
            except asyncio.CancelledError:
                continue

    @impatient.task
    async def release() -> None:
        ends[0].set()

    job = stubborn.defer()
    release.options(delay=0.5).defer()
    _work_until(impatient, lambda: bool(ends) and ends[0].is_set())

    assert job.attempts()[0].error_message == (
        "timed out after 0.1 s, and the coroutine swallows its cancel"
    )
    [record] = [r for r in caplog.records if "left behind" in r.message]
    assert vars(record)["left_behind"] == 1


def _work_until(hub: Hub, is_over: Any) -> None:
    async def run() -> None:
        worker = hub.worker()
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while not is_over():  # noqa: ASYNC110 - it is set by a task of the worker
                await asyncio.sleep(0.02)
        worker.stop()
        await running

    asyncio.run(run())


def test_a_late_thread_sees_it_and_its_job_fails_when_it_ends(
    impatient: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    seen: list[bool] = []

    @impatient.task(timeout=0.1)
    def polite(ctx: Context) -> None:
        while not ctx.cancelled:
            go_on.wait(0.01)
        seen.append(True)

    @impatient.task(timeout=0.1)
    def deaf() -> None:
        go_on.wait(0.8)  # longer than timeout and grace

    first, second = polite.defer(), deaf.defer()
    work(impatient)

    assert seen == [True]
    for job in (first, second):
        assert job.status() is Status.FAILED
        assert job.attempts()[0].error_message == "timed out after 0.1 s"
    [record] = [r for r in caplog.records if "cannot be stopped" in r.message]
    assert vars(record)["job_id"] == second.id


def test_a_cancel_of_a_job_with_a_timeout_is_no_timeout(impatient: Hub) -> None:
    started = threading.Event()

    @impatient.task(timeout=30)
    async def waits() -> None:
        started.set()
        await asyncio.sleep(60)

    job = waits.defer()
    thread = threading.Thread(target=lambda: (started.wait(20), job.cancel()))
    thread.start()
    _work_until(impatient, lambda: job.status() is Status.ABORTED)
    thread.join()

    assert job.status() is Status.ABORTED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout must be above 0 and finite, got 0"),
        ({"memory_mb": 10}, "memory_mb must go with executor=\"process\", got 'thread'"),
        ({"executor": "fork"}, "executor must be one of async, thread, process, got 'fork'"),
        ({"executor": "async"}, 'a plain function must be "thread" or "process"'),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_declared(
    hub: Hub, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        hub.task(**options)(lambda: None)

    assert message in str(raised.value)
