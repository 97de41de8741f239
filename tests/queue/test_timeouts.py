"""`timeout=` on the loop and in threads, and what cannot be declared."""

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from tests.waiting import until

from taskhub import Backoff, Context, Hub, Status
from taskhub.queue import insight


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


def test_overdue_threads_are_shown_while_they_last(impatient: Hub) -> None:
    go_on = threading.Event()

    @impatient.task(timeout=0.1)
    def deaf() -> None:
        go_on.wait(60)

    def shown() -> list[tuple[int, int]]:
        return [(w.overdue, w.deserted) for w in insight.workers(impatient)]

    jobs = [deaf.defer(), deaf.defer()]
    thread = threading.Thread(target=impatient.run_worker, kwargs={"wait": False})
    thread.start()
    try:
        until(lambda: shown() == [(2, 0)], "the count")
    finally:
        go_on.set()
        thread.join()

    assert [job.status() for job in jobs] == [Status.FAILED] * 2


def test_a_thread_that_returns_within_the_grace_has_timed_out(impatient: Hub) -> None:
    @impatient.task(timeout=0.1)
    def in_the_grace(ctx: Context) -> int:
        while not ctx.cancelled:
            pass
        return 1

    job = in_the_grace.defer()
    work(impatient)

    assert job.status() is Status.FAILED
    assert job.attempts()[0].error_message == "timed out after 0.1 s"


def test_what_a_late_transactional_thread_wrote_within_the_grace_is_rolled_back(
    impatient: Hub,
) -> None:
    with impatient.engine.begin() as connection:
        connection.execute(text("CREATE TABLE written (n integer)"))

    @impatient.task(timeout=0.1, transactional=True)
    def in_the_grace(ctx: Context, session: Session) -> None:
        while not ctx.cancelled:
            pass
        session.execute(text("INSERT INTO written VALUES (1)"))

    job = in_the_grace.defer()
    work(impatient)

    assert job.attempts()[0].error_message == "timed out after 0.1 s"
    with impatient.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM written")).scalar() == 0


CLOGGED = """
import logging, os, threading, time
from dataclasses import replace
from taskhub import Backoff, Hub
from taskhub.settings import load

hub = Hub(settings=replace(load(), timeout_grace_seconds=0.1, max_overdue_threads=2))

@hub.task(name="deaf", timeout=0.1, retry=Backoff(max_attempts=2, first_seconds=0.01))
def deaf() -> None:
    time.sleep(600)

@hub.task(name="stubborn", timeout=0.1)
async def stubborn() -> None:
    import asyncio
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

if __name__ == "__main__":
    hub.run_worker()
"""


def test_a_worker_with_too_many_overdue_threads_ends_and_its_jobs_have_failed(
    hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "clogged.py").write_text(CLOGGED)

    @hub.task(name="deaf")
    def deaf() -> None: ...

    @hub.task(name="stubborn")
    def stubborn() -> None: ...

    jobs = [deaf.defer(), deaf.defer()]
    left_behind = stubborn.defer()
    url = hub.url.render_as_string(hide_password=False)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "clogged.py")],
        env=os.environ | {"TASKHUB_DATABASE_URL": url},
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert left_behind.status() is Status.FAILED
    for job in jobs:
        assert job.status() is Status.TODO
        [attempt] = job.attempts()
        assert (attempt.outcome, attempt.error_message) == ("retried", "timed out after 0.1 s")
    assert [(w.state, w.overdue) for w in insight.workers(hub, stopped=True)] == [("stopped", 0)]


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
