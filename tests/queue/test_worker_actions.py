"""Rescue and drain: what an operator does to workers, on real ones and on those that only seem to live."""

import asyncio
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.queue.staged import change, connected, gone, new_worker, run_by
from tests.waiting import until

from taskhub import Hub, Job, Status
from taskhub.queue import insight, worker_actions
from taskhub.queue.worker import Worker
from taskhub.settings import Settings


@pytest.fixture
def quick(settings: Settings) -> Iterator[Hub]:
    """A hub whose workers renew their leases every second."""
    made = Hub(settings=dataclasses.replace(settings, lease_seconds=4))
    yield made
    made.close()


@contextmanager
def at_work(hub: Hub, **options: Any) -> Iterator[Worker]:
    """A worker in a thread, which is stopped at the end."""
    made: list[Worker] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        made.append(hub.worker(**options))
        await made[0].run()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    until(lambda: [w for w in insight.workers(hub) if w.state == "live"], "the start")
    try:
        yield made[0]
    finally:
        if thread.is_alive():
            loops[0].call_soon_threadsafe(made[0].stop)
        thread.join(30)
    assert not thread.is_alive()


def statuses(jobs: list[Job[Any]]) -> list[str]:
    return [job.status().value for job in jobs]


@pytest.fixture
def reaper(settings: Settings) -> Iterator[Hub]:
    """A hub that takes workers for dead at once, also right after the server's start."""
    made = Hub(settings=dataclasses.replace(settings, lease_seconds=0.5))

    @made.task(name="send", queue="mail")
    async def send() -> None: ...

    yield made
    made.close()


def lost_job(hub: Hub) -> tuple[Job[None], int]:
    """A job whose worker has not renewed its lease for minutes."""
    job = hub.tasks["send"].defer()
    worker_id = new_worker(hub, lease_seconds=0.5)
    run_by(hub, worker_id, job.id)
    gone(hub, worker_id)
    return job, worker_id


# Rescue


def test_the_jobs_of_a_dead_worker_come_back_while_no_worker_lives(reaper: Hub) -> None:
    job, worker_id = lost_job(reaper)
    heard: list[int] = []
    reaper.on("job.rescued", lambda event: heard.append(event.job_id))

    dry = worker_actions.rescue(reaper, dry_run=True)
    assert (job.status(), heard) == (Status.DOING, [])
    done = worker_actions.rescue(reaper)

    assert (
        dry == done == [worker_actions.Rescued(job.id, "send", "mail", worker_id, 1, "waits again")]
    )
    assert (job.status(), heard) == (Status.TODO, [job.id])
    assert job.attempts()[0].error_message == (
        "the worker stopped renewing its lease; lost 1 of 5 times"
    )
    assert insight.workers(reaper) == []
    assert worker_actions.rescue(reaper) == []


def test_what_becomes_of_each_job_is_told(reaper: Hub) -> None:
    (often, _), (asked, _), (plain, _) = (lost_job(reaper) for _ in range(3))
    change(reaper, "UPDATE taskhub.procrastinate_jobs SET lost = 4 WHERE id = %s", often.id)
    asked.cancel(reason="enough")

    done = worker_actions.rescue(reaper)

    assert [(one.job_id, one.lost, one.outcome) for one in done] == [
        (often.id, 5, "failed"),
        (asked.id, 1, "aborted"),
        (plain.id, 1, "waits again"),
    ]
    assert statuses([often, asked, plain]) == ["failed", "aborted", "todo"]


def test_only_the_named_worker_loses_its_jobs(reaper: Hub) -> None:
    (mine, worker_id), (other, _) = lost_job(reaper), lost_job(reaper)

    done = worker_actions.rescue(reaper, [worker_id])

    assert [one.job_id for one in done] == [mine.id]
    assert statuses([mine, other]) == ["todo", "doing"]
    with pytest.raises(worker_actions.UnknownWorker, match="no worker 99; see"):
        worker_actions.rescue(reaper, [99])


def test_a_worker_whose_heartbeat_is_fresh_is_refused_unless_forced(reaper: Hub) -> None:
    job = reaper.tasks["send"].defer()
    worker_id = new_worker(reaper)
    run_by(reaper, worker_id, job.id)

    with pytest.raises(
        worker_actions.WorkerLives, match=r"renewed its lease .* ago.*happens twice"
    ):
        worker_actions.rescue(reaper, [worker_id])
    assert job.status() is Status.DOING

    done = worker_actions.rescue(reaper, [worker_id], force=True)

    assert [one.outcome for one in done] == ["waits again"]
    assert (
        job.attempts()[0].error_message == "an operator declared the worker dead; lost 1 of 5 times"
    )
    [worker] = insight.workers(reaper, ids=[worker_id])
    assert worker.state == "lost: an operator declared the worker dead"


def test_a_row_that_a_transaction_holds_is_passed_over_by_a_rescue(reaper: Hub) -> None:
    (held, _), (free, _) = lost_job(reaper), lost_job(reaper)
    with connected(reaper) as other, other.transaction():
        other.execute("SELECT FROM taskhub.procrastinate_jobs WHERE id = %s FOR UPDATE", [held.id])
        done = worker_actions.rescue(reaper)

    assert [one.job_id for one in done] == [free.id]


def test_a_worker_that_lives_all_the_same_finds_out_and_its_old_run_is_not_stored(
    quick: Hub,
) -> None:
    go = threading.Event()
    runs: list[int] = []

    @quick.task(name="long")
    def long() -> str:
        runs.append(number := len(runs) + 1)
        if number == 1:
            go.wait(60)
        return f"run {number}"

    job = long.defer()
    with at_work(quick):
        until(lambda: runs, "the run")
        [before] = insight.workers(quick)
        worker_actions.rescue(quick, [before.id], force=True)
        until(lambda: any(w.id != before.id for w in insight.workers(quick)), "another id")
        result = job.result(timeout=20)
        go.set()

    assert result == "run 2"
    assert [run.outcome for run in job.attempts()] == ["lost", "succeeded"]


# Drain


def held_jobs(hub: Hub, gate: threading.Event) -> Callable[[], Job[Any]]:
    @hub.task(name="hold")
    def hold() -> None:
        gate.wait(60)

    return hold.defer


def state(hub: Hub, worker_id: int) -> str:
    return worker_actions.named(hub, [worker_id])[0].state


def test_a_worker_that_is_asked_takes_no_more_jobs_and_ends_when_its_own_are_done(
    quick: Hub,
) -> None:
    gate = threading.Event()
    defer = held_jobs(quick, gate)
    running = defer()
    with at_work(quick) as worker:
        [found] = insight.workers(quick)
        until(lambda: running.status() is Status.DOING, "the run")

        assert worker_actions.drain(quick, [found.id]) == [found.id]
        assert state(quick, found.id) == "draining"
        until(lambda: draining_since(quick, found.id), "taking no more")
        late = defer()
        until(lambda: not worker.takes_jobs, "knowing it")
        assert statuses([running, late]) == ["doing", "todo"]
        gate.set()
        until(lambda: state(quick, found.id) == "stopped", "the end")

    assert statuses([running, late]) == ["succeeded", "todo"]
    assert worker_actions.drain(quick, [found.id]) == []


def draining_since(hub: Hub, worker_id: int) -> Any:
    with connected(hub) as connection:
        row = connection.execute(
            "SELECT draining_at FROM taskhub.workers WHERE id = %s", [worker_id]
        ).fetchone()
    return row and row[0]


def test_one_that_is_asked_to_stay_is_drained_and_lives_on_until_it_is_stopped(quick: Hub) -> None:
    gate = threading.Event()
    gate.set()
    defer = held_jobs(quick, gate)
    first = defer()
    with at_work(quick):
        first.result(timeout=20)
        [found] = insight.workers(quick)
        worker_actions.drain(quick, [found.id], stay=True)
        until(lambda: state(quick, found.id) == "drained", "the drain")

        late = defer()
        [queue] = insight.queues(quick)
        assert (queue.ready, queue.workers) == (1, 0)
        assert f"queue 'default' (id {found.id}) is drained and idle; `taskhub worker" in late.why()
        beat = insight.workers(quick)[0].heartbeat_at
        until(lambda: insight.workers(quick)[0].heartbeat_at != beat, "another heartbeat")
        assert (state(quick, found.id), late.status()) == ("drained", Status.TODO)
        # To end is more than to stay, and is not taken back.
        worker_actions.drain(quick, [found.id])
        until(lambda: state(quick, found.id) == "stopped", "the end")


def test_a_drain_has_no_deadline_until_a_signal_sets_one(hub: Hub) -> None:
    async def signalled() -> tuple[float | None, ...]:
        worker = hub.worker()
        worker.drain("end")
        asked = worker._drain_deadline
        worker._on_signal()
        first = worker._drain_deadline
        worker._signalled_at = -math.inf  # as if the echo's time was over
        worker._on_signal()
        return asked, first, worker._drain_deadline

    began = time.monotonic()
    asked, first, second = asyncio.run(signalled())

    assert asked == math.inf
    assert first is not None
    assert second is not None
    assert first - began >= hub.settings.drain_seconds
    assert second - began < hub.settings.drain_seconds / 2


def test_a_drain_is_heard_by_the_worker_that_comes_after_a_lost_lease_too(quick: Hub) -> None:
    gate = threading.Event()
    defer = held_jobs(quick, gate)
    running = defer()
    with at_work(quick) as worker:
        [found] = insight.workers(quick)
        until(lambda: running.status() is Status.DOING, "the run")
        worker_actions.drain(quick, [found.id])
        until(lambda: draining_since(quick, found.id), "taking no more")
        with psycopg.connect(quick.url.set(drivername="postgresql").render_as_string(False)) as sql:
            sql.execute("DELETE FROM taskhub.procrastinate_workers WHERE id = %s", [found.id])
        gate.set()
        until(lambda: not worker._tenure.standing._heartbeat._thread.is_alive(), "the end")

    newer = [w for w in insight.workers(quick, stopped=True) if w.id != found.id]
    assert all(draining_since(quick, w.id) for w in newer)
