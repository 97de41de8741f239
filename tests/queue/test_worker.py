"""The worker: claims, runs, stores what became of each job."""

import asyncio
import gc
import threading
import warnings
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from taskhub import Backoff, Context, Fail, Hub, Retry, Snooze, Status
from taskhub.queue import JobEvent, JobFailed


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def test_async_and_sync_tasks_run_and_their_results_are_kept(hub: Hub) -> None:
    @hub.task
    async def on_the_loop(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    @hub.task
    def in_a_thread(n: int) -> str:
        return threading.current_thread().name

    first, second = on_the_loop.defer(1), in_a_thread.defer(1)
    work(hub)

    assert first.status() is Status.SUCCEEDED
    assert first.result(timeout=0) == 2
    assert second.result(timeout=0).startswith("taskhub-job")


def test_arguments_come_back_with_their_types(hub: Hub) -> None:
    seen: list[tuple[UUID, datetime]] = []

    @hub.task
    def take(key: UUID, at: datetime) -> None:
        seen.append((key, at))

    key, at = uuid4(), datetime.fromisoformat("2026-11-23T10:00:00+01:00")
    take.defer(key, at)
    work(hub)

    assert seen == [(key, at)]


def test_a_failure_keeps_exception_traceback_and_fingerprint(hub: Hub) -> None:
    @hub.task
    def breaks() -> None:
        raise ValueError("no such \0 thing \ud800")

    job = breaks.defer()
    work(hub)

    assert job.status() is Status.FAILED
    [attempt] = job.attempts()
    assert attempt.error_class == "ValueError"
    assert attempt.error_message == "no such \\x00 thing \\ud800"
    assert "in breaks" in (attempt.traceback or "")
    assert len(attempt.fingerprint or "") == 16
    with pytest.raises(JobFailed, match="ValueError: no such"):
        job.result(timeout=0)


def test_a_task_without_retry_is_run_once(hub: Hub) -> None:
    @hub.task
    def breaks() -> None:
        raise ValueError

    job = breaks.defer()
    work(hub)
    work(hub)

    assert len(job.attempts()) == 1


def test_backoff_runs_a_task_as_often_as_it_says(hub: Hub) -> None:
    seen: list[int] = []

    @hub.task(retry=Backoff(max_attempts=3, first_seconds=0.01))
    def breaks(ctx: Context) -> None:
        seen.append(ctx.attempt)
        raise ValueError

    job = breaks.defer()
    while job.status() is Status.TODO:
        work(hub)

    assert seen == [1, 2, 3]
    assert [a.outcome for a in job.attempts()] == ["retried", "retried", "failed"]


def test_fail_ends_the_job_whatever_retry_says(hub: Hub) -> None:
    @hub.task(retry=Backoff(max_attempts=3))
    def breaks() -> None:
        raise Fail("the account is gone")

    job = breaks.defer()
    work(hub)

    assert job.status() is Status.FAILED
    assert job.attempts()[0].error_message == "the account is gone"


def test_snooze_uses_no_attempt_and_retry_does(hub: Hub) -> None:
    steps = iter([Snooze(0.01), Retry(in_seconds=0)])
    seen: list[int] = []

    @hub.task
    async def steered(ctx: Context) -> None:
        seen.append(ctx.attempt)
        for step in steps:
            raise step

    job = steered.defer()
    while job.status() is Status.TODO:
        work(hub)

    assert seen == [1, 1, 2]
    assert [a.outcome for a in job.attempts()] == ["snoozed", "retried", "succeeded"]


def test_the_idempotency_key_is_the_same_on_every_attempt(hub: Hub) -> None:
    keys: list[str] = []

    @hub.task(retry=Backoff(max_attempts=2, first_seconds=0.01))
    def breaks(ctx: Context) -> None:
        keys.append(ctx.idempotency_key)
        raise ValueError

    job = breaks.defer()
    other = breaks.defer()
    while Status.TODO in (job.status(), other.status()):
        work(hub)

    assert len(keys) == 4
    assert len(set(keys)) == 2


def test_jobs_with_one_lock_run_one_at_a_time_in_order(hub: Hub) -> None:
    running: list[int] = []
    order: list[int] = []

    @hub.task(lock="document:{document_id}")
    async def index(document_id: int, n: int) -> None:
        running.append(n)
        assert len(running) == 1
        await asyncio.sleep(0)
        order.append(n)
        running.remove(n)

    jobs = [index.defer(1, n) for n in range(5)]
    work(hub)

    assert order == [0, 1, 2, 3, 4]
    assert all(job.status() is Status.SUCCEEDED for job in jobs)


def test_higher_priority_runs_first(hub: Hub) -> None:
    order: list[str] = []

    @hub.task
    async def note(what: str) -> None:
        order.append(what)

    note.defer("low")
    note.options(priority=5).defer("high")
    hub.run_worker(wait=False, concurrency=1)

    assert order == ["high", "low"]


def test_only_the_named_queues_are_worked(hub: Hub) -> None:
    @hub.task(queue="mail")
    def send() -> None: ...

    @hub.task(queue="indexing")
    def index() -> None: ...

    mail, indexing = send.defer(), index.defer()
    hub.run_worker(queues=["mail"], wait=False)

    assert (mail.status(), indexing.status()) == (Status.SUCCEEDED, Status.TODO)


def test_defer_inside_a_running_job_works_in_both_kinds_of_tasks(hub: Hub) -> None:
    seen: list[str] = []

    @hub.task
    async def note(what: str) -> None:
        seen.append(what)

    @hub.task
    def in_a_thread(ctx: Context) -> None:
        with ctx.hub.transaction():
            note.defer("thread")

    @hub.task
    async def on_the_loop() -> None:
        note.defer("loop, sync")
        await note.defer_async("loop, async")
        async with hub.transaction_async():
            await note.defer_async("loop, transaction")

    in_a_thread.defer()
    on_the_loop.defer()
    work(hub)

    assert sorted(seen) == ["loop, async", "loop, sync", "loop, transaction", "thread"]


def test_a_job_whose_claim_is_lost_cannot_commit_through_the_hub(hub: Hub) -> None:
    @hub.task
    def steals_from_itself(ctx: Context) -> None:
        with ctx.hub.engine.begin() as other:
            other.execute(text("UPDATE taskhub.procrastinate_jobs SET claim = claim + 1"))
        with ctx.hub.transaction() as session:
            session.execute(text("INSERT INTO taskhub.hub (lowest_worker_version) VALUES (9)"))

    job = steals_from_itself.defer()
    with hub.engine.begin() as connection:
        connection.execute(text("DROP INDEX IF EXISTS taskhub.hub_one_row"))
    work(hub)

    with hub.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM taskhub.hub")) == 1
    assert job.status() is Status.DOING


def test_a_waiting_job_is_cancelled_at_once(hub: Hub) -> None:
    @hub.task
    def never() -> None:
        raise AssertionError

    job = never.defer()
    assert job.cancel(reason="not needed any more")
    work(hub)

    assert job.status() is Status.CANCELLED
    assert job.attempts()[0].error_message == "not needed any more"
    assert not job.cancel()


def test_a_running_job_is_cancelled(hub: Hub) -> None:
    @hub.task
    async def waits() -> None:
        waits_job.cancel(reason="enough")
        await asyncio.Event().wait()

    waits_job = waits.defer()
    work(hub)

    assert waits_job.status() is Status.ABORTED


def test_a_loop_that_ends_around_a_worker_leaves_no_connection_open(hub: Hub) -> None:
    runs = asyncio.Event()

    @hub.task
    async def stay() -> None:
        runs.set()
        await asyncio.get_running_loop().create_future()

    async def leave() -> None:
        serving = asyncio.create_task(hub.run_worker_async())
        await runs.wait()
        assert not serving.done()

    stay.defer()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(leave())  # cancels every task, the worker's inner ones too
        gc.collect()

    assert [str(one.message) for one in told] == []


def test_an_unknown_task_waits_and_uses_no_attempt(hub: Hub) -> None:
    @hub.task(name="old")
    def old() -> None: ...

    job = old.defer()
    other = Hub(settings=hub.settings)
    other.run_worker(wait=False)
    other.close()

    assert job.status() is Status.TODO
    assert job.attempts() == []


@pytest.mark.parametrize(
    "args", ['{"n": 1' + "0" * 5000 + "}", '{"x": 1}', '{"n": "no number"}', "{}"]
)
def test_arguments_that_do_not_fit_fail_their_job_and_no_other(hub: Hub, args: str) -> None:
    @hub.task(name="takes", retry=Backoff(max_attempts=3))
    def takes(n: int) -> int:
        return n

    bad, good = takes.defer(1), takes.defer(2)
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_jobs SET args = CAST(:args AS jsonb) WHERE id = :id"
            ),
            {"args": args, "id": bad.id},
        )
    work(hub)

    assert (bad.status(), good.status()) == (Status.FAILED, Status.SUCCEEDED)
    assert "arguments do not fit task takes" in (bad.attempts()[0].error_message or "")


def test_hooks_hear_what_happens_and_their_errors_stay_theirs(hub: Hub) -> None:
    heard: list[tuple[str, int]] = []

    @hub.task(name="job", retry=Backoff(max_attempts=2, first_seconds=0.01))
    async def job(ctx: Context) -> None:
        raise ValueError

    async def hears(event: JobEvent) -> None:
        heard.append((event.name, event.attempt))

    def raises(event: JobEvent) -> None:
        raise RuntimeError

    for name in ("job.started", "job.retried", "job.failed"):
        hub.on(name, raises)
        hub.on(name, hears)
    deferred = job.defer()
    while deferred.status() is Status.TODO:
        work(hub)

    assert heard == [("job.started", 1), ("job.retried", 1), ("job.started", 2), ("job.failed", 2)]


def test_the_failure_event_carries_error_and_duration(hub: Hub) -> None:
    events: list[JobEvent] = []

    @hub.task
    def breaks() -> None:
        raise ValueError("why")

    hub.on("job.failed", events.append)
    breaks.defer()
    work(hub)

    assert str(events[0].error) == "why"
    assert events[0].duration_seconds is not None
