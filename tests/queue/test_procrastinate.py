"""procrastinate's own client and worker on our schema, measured against procrastinate on its own.

Its own runs with delete_jobs="successful": jobs that succeeded leave our table too.
"""

import asyncio
import datetime
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
import pytest
from procrastinate import App, JobContext, exceptions
from procrastinate.jobs import Job as TheirJob
from procrastinate.types import JSONDict
from sqlalchemy import text
from tests.procrastinates import app_on, build_newest, work
from tests.waiting import until

from taskhub import Hub, Status, db
from taskhub.settings import Settings

T = TypeVar("T")
LATER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Both:
    """One App on a schema of procrastinate's own, and its like on ours, whose jobs our worker runs."""

    own: App
    ours: App
    hub: Hub

    def same(self, scenario: Callable[[App], T]) -> T:
        """What the scenario gives on both; with the App of each open."""
        found = []
        for app in (self.own, self.ours):
            with app.open():
                found.append(scenario(app))
        assert found[1] == found[0]
        return found[1]


@pytest.fixture
def both(database: str, hub: Hub) -> Iterator[Both]:
    build_newest(hub.engine, "own")
    address = db.address(database)
    made = Both(app_on(address, "own"), app_on(address, "taskhub"), hub)
    made.hub = Hub.from_procrastinate(
        made.ours, settings=Settings(concurrency=1, poll_seconds=0.2, lease_seconds=10)
    )
    for app in (made.own, made.ours):
        declare(app)
    yield made
    made.hub.close()


def declare(app: App) -> None:
    """The tasks of the scenarios."""

    @app.task(name="add", queue="sums")
    def add(a: int = 0, b: int = 0) -> int:
        return a + b

    @app.task(name="break", queue="sums")
    def fall(a: int = 0) -> None:
        raise ZeroDivisionError

    @app.task(name="wait", queue="sums", pass_context=True)
    def wait(context: JobContext) -> None:
        until(context.should_abort, "the request to stop")
        raise exceptions.JobAborted


def run(app: App) -> None:
    """Run what is ready, by the worker that the App has."""
    work(app, delete_jobs="successful")


def rows(app: App) -> list[tuple[Any, ...]]:
    """Every job that the client lists."""
    return [_row(job) for job in app.job_manager.list_jobs()]


def _numbered(count: int) -> list[JSONDict]:
    return [{"a": n} for n in range(count)]


def _row(job: TheirJob) -> tuple[Any, ...]:
    return (
        job.id, job.queue, job.task_name, job.priority, job.lock, job.queueing_lock,
        job.task_kwargs, job.status, job.scheduled_at, job.attempts, job.abort_requested,
    )  # fmt: skip


def set_up(app: App) -> None:
    """Jobs in several queues, of several tasks and locks, in several states."""
    app.tasks["add"].configure(lock="x").defer(a=1)
    app.tasks["add"].configure(lock="x").defer(a=2)
    app.tasks["add"].configure(queue="other", lock="y", schedule_at=LATER).defer(a=3)
    app.tasks["break"].configure(lock="z").defer()


# Deferring


def test_what_is_deferred_with_every_option_is_listed_the_same(both: Both) -> None:
    def scenario(app: App) -> Any:
        app.tasks["add"].defer(a=1, b=2)
        app.tasks["add"].configure(
            lock="l", queueing_lock="k", priority=-3, queue="q", schedule_at=LATER
        ).defer(a=1)
        app.configure_task("unknown", task_kwargs={"x": [None, {}]}).defer()
        return rows(app)

    found = both.same(scenario)

    assert found[1][1:10] == ("q", "add", -3, "l", "k", {"a": 1}, "todo", LATER, 0)


def test_a_batch_is_stored_in_its_order(both: Both) -> None:
    def scenario(app: App) -> Any:
        ids = app.tasks["add"].batch_defer(*_numbered(50))
        return ids, rows(app)

    ids, _ = both.same(scenario)

    assert ids == sorted(ids)


def test_a_queueing_lock_refuses_a_second_waiting_job_alone_and_in_a_batch(both: Both) -> None:
    def scenario(app: App) -> Any:
        locked = app.tasks["add"].configure(queueing_lock="once")
        locked.defer(a=1)
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock once"):
            locked.defer(a=2)
        with pytest.raises(exceptions.AlreadyEnqueued):
            app.tasks["add"].configure(queueing_lock="batch").batch_defer({"a": 3}, {"a": 4})
        return [row[1:] for row in rows(app)]

    [row] = both.same(scenario)

    assert row[4:6] == ("once", {"a": 1})


def test_a_queueing_lock_is_free_again_when_its_job_has_started(both: Both) -> None:
    def defer(app: App) -> None:
        app.tasks["break"].configure(queueing_lock="once").defer()

    def scenario(app: App) -> Any:
        defer(app)
        return [row[7] for row in rows(app)]

    both.same(scenario)
    run(both.own)
    run(both.ours)

    assert both.same(scenario) == ["failed", "todo"]


def test_a_periodic_tick_is_deferred_once_and_forgets_the_ones_before(both: Both) -> None:
    def scenario(app: App) -> Any:
        async def defer(timestamp: int) -> int | None:
            job = TheirJob(
                id=None, queue="sums", lock=None, queueing_lock=None, task_name="add",
                task_kwargs={"timestamp": timestamp},
            )  # fmt: skip
            async with app.open_async():
                return await app.job_manager.defer_periodic_job(
                    job, periodic_id="p", defer_timestamp=timestamp
                )

        app.close()
        answers = [asyncio.run(defer(timestamp)) for timestamp in (100, 100, 200, 100)]
        app.open()
        return [a is not None for a in answers], [row[1:] for row in rows(app)]

    answers, found = both.same(scenario)

    # The last one shows that only the newest tick is remembered.
    assert answers == [True, False, True, True]
    assert [row[5] for row in found] == [{"timestamp": n} for n in (100, 200, 100)]


def test_a_job_deferred_on_the_callers_connection_goes_with_its_transaction(
    both: Both, database: str
) -> None:
    conninfo = db.conninfo(db.address(database))

    def scenario(app: App) -> Any:
        path = "own" if app is both.own else "taskhub"
        with psycopg.connect(conninfo, options=f"-c search_path={path}") as connection:
            app.tasks["add"].configure(connection=connection, lock="l").defer(a=1)
            connection.rollback()
            app.tasks["add"].configure(connection=connection, lock="l").defer(a=2)
            connection.commit()
        return [row[6] for row in rows(app)]

    assert both.same(scenario) == [{"a": 2}]


# Listing


def test_queues_tasks_and_locks_are_counted_the_same_before_and_after_a_run(both: Both) -> None:
    def counts(app: App) -> Any:
        manager = app.job_manager
        return manager.list_queues(), manager.list_tasks(), manager.list_locks()

    both.same(set_up)
    before = both.same(counts)
    run(both.own)
    run(both.ours)
    queues, tasks, locks = both.same(counts)

    assert [(q["name"], q["todo"]) for q in before[0]] == [("other", 1), ("sums", 3)]
    assert [(q["name"], q["todo"], q["failed"]) for q in queues] == [
        ("other", 1, 0),
        ("sums", 0, 1),
    ]
    assert [t["name"] for t in tasks] == ["add", "break"]
    assert [lock["name"] for lock in locks] == ["y", "z"]


def test_every_filter_of_the_listing_finds_the_same(both: Both) -> None:
    both.same(set_up)
    filters: list[dict[str, Any]] = [
        {"queue": "sums"}, {"task": "break"}, {"status": "todo"}, {"lock": "x"}, {"id": 2},
        {"queueing_lock": "none"},
    ]  # fmt: skip

    def listed(app: App, only: dict[str, Any]) -> Any:
        return [_row(job) for job in app.job_manager.list_jobs(**only)]

    found = [both.same(partial(listed, only=only)) for only in filters]

    assert [len(rows) for rows in found] == [3, 1, 4, 2, 1, 0]


def test_the_status_of_a_job_is_told_in_every_state_but_after_success(both: Both) -> None:
    def defer(app: App) -> list[int]:
        ids = [app.tasks["add"].configure(schedule_at=LATER).defer(), app.tasks["break"].defer()]
        ids.append(app.tasks["add"].configure(schedule_at=LATER).defer())
        app.job_manager.cancel_job_by_id(ids[2])
        return [*ids, app.tasks["add"].defer()]

    ids = both.same(defer)
    run(both.own)
    run(both.ours)

    def status(app: App) -> Any:
        with pytest.raises(exceptions.NoResult):
            app.job_manager.get_job_status(ids[3])
        return [app.job_manager.get_job_status(i).value for i in ids[:3]]

    assert both.same(status) == ["todo", "failed", "cancelled"]


# Cancelling


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("delete_job", [False, True])
def test_a_waiting_job_is_cancelled_or_deleted(both: Both, abort: bool, delete_job: bool) -> None:
    def scenario(app: App) -> Any:
        first = app.tasks["add"].configure(lock="l").defer()
        app.tasks["add"].configure(lock="l", schedule_at=LATER).defer()
        cancel = app.job_manager.cancel_job_by_id
        answers = [cancel(i, abort=abort, delete_job=delete_job) for i in (first, first, 999)]
        return answers, rows(app)

    answers, left = both.same(scenario)

    assert answers == [True, False, False]
    assert [row[7] for row in left] == (["todo"] if delete_job else ["cancelled", "todo"])


def test_an_ended_job_is_not_cancelled(both: Both) -> None:
    both.same(lambda app: app.tasks["break"].defer())
    run(both.own)
    run(both.ours)

    assert both.same(lambda app: app.job_manager.cancel_job_by_id(1, abort=True)) is False
    assert both.same(lambda app: [row[7] for row in rows(app)]) == ["failed"]


def test_a_running_job_is_aborted_on_request_and_not_cancelled_without_one(both: Both) -> None:
    both.same(lambda app: app.tasks["wait"].defer())

    def watch(app: App) -> list[bool]:
        """From another thread, with a client of its own."""
        schema = "own" if app is both.own else "taskhub"
        client = app_on(both.hub.url, schema)
        with client.open():
            manager = client.job_manager
            until(lambda: manager.get_job_status(1) is Status.DOING, "the start of the job")
            return [manager.cancel_job_by_id(1), manager.cancel_job_by_id(1, abort=True)]

    def scenario(app: App) -> Any:
        app.close()
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.extend(watch(app)))
        thread.start()
        run(app)
        thread.join()
        app.open()
        return answers, [(row[7], row[9]) for row in rows(app)]

    assert both.same(scenario) == ([False, True], [("aborted", 1)])


# Retrying


def test_a_failed_job_is_retried_at_its_time_with_new_options(both: Both) -> None:
    both.same(lambda app: app.tasks["break"].configure(lock="l").defer())
    run(both.own)
    run(both.ours)

    def retry(app: App) -> Any:
        app.job_manager.retry_job_by_id(1, LATER, priority=4, queue="again", lock="m")
        with pytest.raises(exceptions.ConnectorException):
            app.job_manager.retry_job_by_id(1, LATER)
        return rows(app)

    [row] = both.same(retry)

    assert (row[1], row[3], row[4], row[7], row[8], row[9]) == ("again", 4, "m", "todo", LATER, 2)


def test_a_job_retried_by_their_client_runs_again(both: Both) -> None:
    both.same(lambda app: app.tasks["break"].configure(lock="l").defer())
    run(both.own)
    run(both.ours)
    now = datetime.datetime.now(datetime.UTC)
    both.same(lambda app: app.job_manager.retry_job_by_id(1, now))
    run(both.own)
    run(both.ours)

    assert both.same(lambda app: [(row[7], row[9]) for row in rows(app)]) == [("failed", 3)]


# Running


def test_jobs_of_one_lock_run_by_priority_then_in_their_order(both: Both) -> None:
    def scenario(app: App) -> Any:
        seen: list[int] = []

        @app.task(name="note")
        def note(n: int) -> None:
            seen.append(n)

        for n, priority in enumerate([0, 0, 5, 0, 5]):
            note.configure(lock="one", priority=priority).defer(n=n)
        app.close()
        run(app)
        app.open()
        return seen

    assert both.same(scenario) == [2, 4, 0, 1, 3]


def test_a_job_that_our_hub_deferred_runs_on_their_worker_and_the_other_way_round(
    hub: Hub, database: str
) -> None:
    seen: list[str] = []

    @hub.task(name="add", queue="sums")
    def add(n: int) -> None:
        seen.append(f"ours {n}")

    app = app_on(db.address(database), "taskhub")

    @app.task(name="add")
    async def theirs(n: int) -> None:
        seen.append(f"theirs {n}")

    first = add.options(lock="x").defer(1)
    work(app)
    with app.open():
        app.configure_task("add", queue="sums", lock="x").defer(n=2)
    hub.run_worker(wait=False)

    assert seen == ["theirs 1", "ours 2"]
    assert first.status() is Status.SUCCEEDED


def test_their_worker_and_ours_share_the_jobs_and_never_a_lock(hub: Hub, database: str) -> None:
    running: list[int] = []
    seen: list[int] = []
    guard = threading.Lock()

    def note(n: int, lock: bool) -> None:
        with guard:
            seen.append(n)
            running.extend([n] if lock else [])
            assert len(running) <= 1
        if lock:
            until(lambda: threading.active_count() > 0, "a turn of the others")
            running.remove(n)

    hub.task(name="note")(note)
    app = app_on(db.address(database), "taskhub")
    app.task(name="note")(note)
    for n in range(60):
        task = hub.tasks["note"]
        (task.options(lock="one") if n % 3 == 0 else task).defer(n, n % 3 == 0)

    async def both_work() -> None:
        async with app.open_async():
            await asyncio.gather(
                app.run_worker_async(wait=False, concurrency=4, install_signal_handlers=False),
                hub.run_worker_async(wait=False, concurrency=4),
            )

    asyncio.run(both_work())
    hub.run_worker(wait=False)

    assert sorted(seen) == list(range(60))


@pytest.mark.parametrize("call", ["finish", "retry"])
def test_their_functions_refuse_a_row_that_our_worker_holds(
    hub: Hub, database: str, call: str
) -> None:
    refused: list[str] = []
    app = app_on(db.address(database), "taskhub")

    @hub.task(name="t")
    def t() -> str:
        async def meddle() -> None:
            manager = app.job_manager
            async with app.open_async():
                if call == "finish":
                    await manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=False)
                else:
                    await manager.retry_job_by_id_async(job.id, LATER)

        try:
            asyncio.run(meddle())
        except exceptions.ConnectorException as error:
            refused.append(str(error.__cause__))
        return "done"

    job = t.defer()
    hub.run_worker(wait=False)

    assert job.result(timeout=0) == "done"
    assert len(refused) == 1
    assert "is being run by taskhub worker" in refused[0]


def test_jobs_of_our_living_worker_are_not_stalled_to_them(hub: Hub, database: str) -> None:
    found: list[Any] = []
    app = app_on(db.address(database), "taskhub")

    @hub.task(name="t")
    def t() -> None:
        async def look() -> None:
            async with app.open_async():
                found.append(await app.job_manager.prune_stalled_workers(0))
                found.append(list(await app.job_manager.get_stalled_jobs()))

        asyncio.run(look())

    t.defer()
    hub.run_worker(wait=False)

    assert found == [[], []]


def test_a_worker_of_theirs_that_died_holds_its_job_until_our_rescue(
    hub: Hub, database: str
) -> None:
    seen: list[int] = []

    @hub.task(name="t")
    def t() -> None:
        seen.append(1)

    job = t.defer()
    app = app_on(db.address(database), "taskhub")

    async def fetch_and_die() -> None:
        async with app.open_async():
            worker_id = await app.job_manager.register_worker()
            fetched = await app.job_manager.fetch_job(None, worker_id)
            assert fetched is not None
            assert fetched.id == job.id

    asyncio.run(fetch_and_die())
    assert job.status() is Status.DOING
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                UPDATE taskhub.procrastinate_workers
                SET last_heartbeat = now() - interval '1 hour'
            """)
        )

    async def work_until_it_ran() -> None:
        working = asyncio.create_task(hub.run_worker_async())
        await asyncio.to_thread(until, lambda: seen, "the rescued job's run")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(work_until_it_ran())

    assert job.status() is Status.SUCCEEDED
