"""A procrastinate App on our worker: what its tasks see, and what they leave."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from procrastinate import App, JobContext, RetryDecision, RetryStrategy, exceptions, jobs
from procrastinate.job_context import AbortReason
from procrastinate.retry import BaseRetryStrategy
from sqlalchemy import text
from tests.procrastinates import app_on
from tests.waiting import until

from taskhub import Hub, Job, Status, db
from taskhub.settings import Settings


@pytest.fixture
def app(database: str) -> App:
    return app_on(db.address(database), "taskhub")


@pytest.fixture
def hub(app: App) -> Iterator[Hub]:
    made = Hub.from_procrastinate(
        app, settings=Settings(concurrency=4, poll_seconds=0.2, lease_seconds=10)
    )
    yield made
    made.close()


def defer(app: App, name: str, /, options: dict[str, Any] | None = None, **arguments: Any) -> int:
    """A job from the App's own client, while no worker runs."""
    with app.open():
        return app.configure_task(name, **(options or {})).defer(**arguments)


def job(hub: Hub, job_id: int) -> Job[Any]:
    return Job(job_id, "", hub)


def work_until(hub: Hub, condition: Callable[[], Any], what: str, **options: Any) -> None:
    """Run our worker, and stop it when the condition is true."""

    async def work() -> None:
        working = asyncio.create_task(hub.worker(**options).run())
        try:
            await asyncio.to_thread(until, condition, what)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    asyncio.run(work())


# Calling


def test_sync_and_async_tasks_run_with_their_arguments(app: App, hub: Hub) -> None:
    @app.task(name="sync")
    def sync(a: int, b: str) -> str:
        return f"sync {a} {b}"

    @app.task(name="async")
    async def asynchronous(**anything: Any) -> Any:
        return anything

    first = defer(app, "sync", a=1, b="x")
    second = defer(app, "async", n=[1, {"a": None}])
    hub.run_worker(wait=False)

    assert job(hub, first).result(timeout=0) == "sync 1 x"
    assert job(hub, second).result(timeout=0) == {"n": [1, {"a": None}]}


def test_a_sync_task_that_returns_an_awaitable_is_awaited_on_the_loop(app: App, hub: Hub) -> None:
    async def later() -> str:
        asyncio.get_running_loop()
        return "awaited"

    @app.task(name="lazy")
    def lazy() -> Awaitable[str]:
        return later()

    job_id = defer(app, "lazy")
    hub.run_worker(wait=False)

    assert job(hub, job_id).result(timeout=0) == "awaited"


def test_annotations_are_never_evaluated_and_nothing_is_converted(app: App, hub: Hub) -> None:
    seen = []

    def task(when: "no.such.type", n: int) -> "neither.this": ...  # type: ignore[name-defined]  # noqa: F821 - on purpose

    def note(**given: Any) -> None:
        seen.append(given)

    note.__annotations__ = task.__annotations__
    app.task(name="note")(note)

    defer(app, "note", when="2026-01-01", n="no number")
    hub.tasks["note"].defer(when=1, n=2)
    hub.run_worker(wait=False, concurrency=1)

    assert seen == [{"when": "2026-01-01", "n": "no number"}, {"when": 1, "n": 2}]


def test_arguments_are_read_by_the_connectors_own_json_loads(database: str, hub: Hub) -> None:
    from decimal import Decimal
    from functools import partial
    from json import loads

    from procrastinate import PsycopgConnector

    kwargs = {"options": "-c search_path=taskhub"}
    app = App(
        connector=PsycopgConnector(
            conninfo=db.conninfo(db.address(database)),
            kwargs=kwargs,
            json_loads=partial(loads, parse_float=Decimal),
        )
    )
    seen: list[Any] = []

    @app.task(name="pay")
    def pay(amount: Any) -> None:
        seen.append(amount)

    other = Hub.from_procrastinate(app, settings=hub.settings)
    defer(app, "pay", amount=0.10)
    other.run_worker(wait=False)
    other.close()

    assert seen == [Decimal("0.1")]
    assert type(seen[0]) is Decimal


def test_former_names_and_names_of_blueprints_are_served(app: App, hub: Hub) -> None:
    from procrastinate import Blueprint

    seen: list[int] = []
    blueprint = Blueprint()

    @blueprint.task(name="ship", aliases=["send"])
    def ship(n: int) -> None:
        seen.append(n)

    app.add_tasks_from(blueprint, namespace="shop")
    defer(app, "shop:ship", n=1)
    defer(app, "shop:send", n=2)
    hub.run_worker(wait=False, concurrency=1)

    assert seen == [1, 2]


def test_tasks_of_the_app_and_tasks_of_the_hub_live_side_by_side(app: App, hub: Hub) -> None:
    seen: list[str] = []

    @hub.task(name="ours")
    def ours() -> None:
        seen.append("ours")

    @app.task(name="theirs")
    def theirs() -> None:
        seen.append("theirs")

    ours.defer()
    hub.tasks["theirs"].defer()
    hub.run_worker(wait=False, concurrency=1)

    assert seen == ["ours", "theirs"]


def test_modules_named_in_import_paths_are_imported(
    app: App, hub: Hub, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far_away_tasks.py").write_text("NAME = 'imported'\n")
    monkeypatch.syspath_prepend(tmp_path)
    app.import_paths = ["far_away_tasks"]

    hub.worker(wait=False)

    import sys

    assert sys.modules.pop("far_away_tasks").NAME == "imported"


# What is declared


def test_what_a_task_declares_holds_for_jobs_deferred_by_the_hub_too(app: App, hub: Hub) -> None:
    @app.task(name="t", queue="far", priority=7, lock="{a}", queueing_lock="{b}")
    def t(n: int) -> None: ...

    first = defer(app, "t", n=1)
    with hub.engine.begin() as connection:
        connection.execute(text("UPDATE taskhub.procrastinate_jobs SET queueing_lock = NULL"))
    hub.tasks["t"].defer(n=2)

    with app.open():
        theirs, ours = app.job_manager.list_jobs()
    assert theirs.id == first
    assert (ours.queue, ours.priority, ours.lock, ours.queueing_lock) == ("far", 7, "{a}", "{b}")
    assert (theirs.queue, theirs.priority, theirs.lock) == ("far", 7, "{a}")


def test_a_task_is_retried_as_its_strategy_says(app: App, hub: Hub) -> None:
    attempts: list[int] = []

    @app.task(
        name="flaky",
        pass_context=True,
        retry=RetryStrategy(max_attempts=2, retry_exceptions=[KeyError]),
    )
    def flaky(context: JobContext) -> None:
        attempts.append(context.job.attempts)
        raise KeyError("not yet")

    job_id = defer(app, "flaky")
    hub.run_worker(wait=False)

    assert attempts == [0, 1, 2]
    assert job(hub, job_id).status() is Status.FAILED
    assert [a.outcome for a in job(hub, job_id).attempts()] == ["retried", "retried", "failed"]


def test_a_strategy_of_their_own_moves_the_job(app: App, hub: Hub) -> None:
    asked: list[jobs.Job] = []

    class Elsewhere(BaseRetryStrategy):
        def get_retry_decision(
            self, *, exception: BaseException, job: jobs.Job
        ) -> RetryDecision | None:
            assert isinstance(exception, OSError)
            asked.append(job)
            return RetryDecision(retry_in={"hours": 1}, priority=3, queue="slow", lock="one")

    @app.task(name="hard", retry=Elsewhere())
    def hard(n: int) -> None:
        raise OSError

    job_id = defer(app, "hard", n=1)
    hub.run_worker(wait=False)

    with app.open():
        [moved] = app.job_manager.list_jobs()
    assert (moved.queue, moved.priority, moved.lock, moved.status) == ("slow", 3, "one", "todo")
    assert moved.scheduled_at is not None
    assert (asked[0].id, asked[0].task_kwargs) == (job_id, {"n": 1})


# The context


def test_pass_context_gives_a_job_context_of_the_job(app: App, hub: Hub) -> None:
    seen: list[JobContext] = []

    @app.task(name="look", queue="q", pass_context=True)
    async def look(context: JobContext, n: int) -> None:
        seen.append(context)

    job_id = defer(app, "look", {"lock": "l", "queueing_lock": "k", "priority": 4}, n=3)
    app.worker_defaults["additional_context"] = {"shop": "berlin"}
    hub.worker(queues=["q"], wait=False, name="first")
    asyncio.run(hub.worker(queues=["q"], wait=False, name="first").run())

    [context] = seen
    assert type(context) is JobContext
    assert (context.app, context.task.name) == (app, "look")
    assert (context.worker_name, list(context.worker_queues or [])) == ("first", ["q"])
    assert context.additional_context == {"shop": "berlin"}
    found = context.job
    assert (found.id, found.queue, found.priority) == (job_id, "q", 4)
    assert (found.lock, found.queueing_lock, found.attempts) == ("l", "k", 0)
    assert (found.task_kwargs, found.status) == ({"n": 3}, "doing")
    assert not context.should_abort()


def test_a_sync_job_that_looks_is_aborted_on_request(app: App, hub: Hub) -> None:
    running: list[int] = []
    reasons: list[AbortReason | None] = []

    @app.task(name="long", pass_context=True)
    def long(context: JobContext) -> None:
        running.append(context.job.id or 0)
        until(context.should_abort, "the request to stop")
        reasons.append(context.abort_reason())
        raise exceptions.JobAborted

    job_id = defer(app, "long")

    def is_aborted() -> bool:
        if running and not reasons:
            job(hub, job_id).cancel()
        return job(hub, job_id).status() is Status.ABORTED

    work_until(hub, is_aborted, "the end of the job")

    assert reasons == [AbortReason.USER_REQUEST]


def test_an_async_job_is_cancelled_on_request(app: App, hub: Hub) -> None:
    running: list[int] = []

    @app.task(name="long", pass_context=True)
    async def long(context: JobContext) -> None:
        running.append(context.job.id or 0)
        await asyncio.Event().wait()

    job_id = defer(app, "long")

    def is_aborted() -> bool:
        if running:
            job(hub, job_id).cancel()
        return job(hub, job_id).status() is Status.ABORTED

    work_until(hub, is_aborted, "the end of the job")

    assert [a.outcome for a in job(hub, job_id).attempts()] == ["aborted"]


def test_a_job_may_abort_itself(app: App, hub: Hub) -> None:
    @app.task(name="sync", retry=True)
    def sync() -> None:
        raise exceptions.JobAborted

    @app.task(name="async", retry=True)
    async def asynchronous() -> None:
        raise exceptions.JobAborted

    ids = [defer(app, "sync"), defer(app, "async")]
    hub.run_worker(wait=False)

    assert [job(hub, i).status() for i in ids] == [Status.ABORTED, Status.ABORTED]


def test_at_the_end_of_the_worker_the_reason_is_shutdown_and_the_job_waits(
    app: App, hub: Hub
) -> None:
    running: list[int] = []
    reasons: list[AbortReason | None] = []

    @app.task(name="long", pass_context=True)
    async def long(context: JobContext) -> None:
        running.append(context.job.id or 0)
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(context.abort_reason())

    job_id = defer(app, "long")
    app.worker_defaults["shutdown_graceful_timeout"] = 0.1
    work_until(hub, lambda: running, "the start of the job")

    assert reasons == [AbortReason.SHUTDOWN]
    assert job(hub, job_id).status() is Status.TODO


# Deferring from inside


def test_tasks_defer_through_the_apps_own_connector(app: App, hub: Hub) -> None:
    seen: list[str] = []

    @app.task(name="last")
    def last(by: str) -> None:
        seen.append(by)

    @app.task(name="sync")
    def sync() -> None:
        last.defer(by="sync")
        last.batch_defer({"by": "batch"}, {"by": "batch"})

    @app.task(name="async")
    async def asynchronous() -> None:
        await last.defer_async(by="async")

    defer(app, "sync")
    defer(app, "async")
    hub.run_worker(wait=False)

    assert sorted(seen) == ["async", "batch", "batch", "sync"]


def test_periodic_tasks_are_deferred_once_a_tick_by_any_number_of_workers(
    app: App, hub: Hub
) -> None:
    seen: list[int] = []

    @app.periodic(cron="* * * * * */1", periodic_id="second")
    @app.task(name="tick", queue="ticks")
    def tick(timestamp: int) -> None:
        seen.append(timestamp)

    async def work_twice() -> None:
        workers = [asyncio.create_task(hub.worker().run()) for _ in range(2)]
        await asyncio.to_thread(until, lambda: len(seen) >= 3, "three ticks")
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(work_twice())

    assert len(set(seen)) == len(seen)


def test_their_builtin_task_runs(app: App, hub: Hub) -> None:
    # Its name in the App grows with every App of the process, so it is written by hand.
    with hub.engine.begin() as connection:
        job_id = connection.scalar(
            text("""
                INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args)
                VALUES ('builtin', 'procrastinate.builtin_tasks.remove_old_jobs', '{"max_hours": 1}')
                RETURNING id
            """)
        )
    assert job_id is not None

    hub.run_worker(wait=False)

    assert job(hub, job_id).status() is Status.SUCCEEDED
