"""A procrastinate App's middleware, its options of a worker, and its own run_worker, on our worker."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from procrastinate import App, JobContext, SyncPsycopgConnector
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from procrastinate.exceptions import MiddlewareKindMismatch
from procrastinate.worker import Worker
from tests.procrastinates import app_on, build_newest, work
from tests.waiting import until

from taskhub import Hub, Job, Status, db
from taskhub import app as apps
from taskhub.queue.foreign_worker import OtherPlace
from taskhub.settings import Settings

QUICK = Settings(concurrency=4, poll_seconds=0.2, lease_seconds=10)


@pytest.fixture
def app(database: str) -> App:
    return app_on(db.address(database), "taskhub")


@pytest.fixture
def hub(app: App) -> Iterator[Hub]:
    made = Hub.from_procrastinate(app, settings=QUICK)
    yield made
    made.close()


def defer(app: App, name: str, /, options: dict[str, Any] | None = None, **arguments: Any) -> int:
    with app.open():
        return app.configure_task(name, **(options or {})).defer(**arguments)


# Middleware


def test_middleware_stands_around_the_job_in_procrastinates_order(app: App, hub: Hub) -> None:
    told: list[str] = []

    def layer(name: str) -> Callable[..., Any]:
        async def around(
            call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker
        ) -> Any:
            told.append(f"{name} in {context.job.task_name}")
            answer = await call_next()
            told.append(f"{name} out")
            return f"{name}({answer})"

        return around

    def layer_sync(name: str) -> Callable[..., Any]:
        def around(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:
            told.append(f"{name} in {context.job.task_name}")
            return f"{name}({call_next()})"

        return around

    @app.task(name="async", task_middleware=[layer("own")])
    async def asynchronous() -> str:
        return "async"

    @app.task(name="sync", task_middleware=[layer_sync("own")])
    def sync() -> str:
        return "sync"

    app.worker_defaults["task_middleware"] = [layer("all"), layer_sync("all_sync")]
    app.worker_defaults["worker_middleware"] = [layer("outer"), layer("inner")]
    first, second = defer(app, "async"), defer(app, "sync")
    hub.run_worker(wait=False, concurrency=1)

    assert Job(first, "", hub).result(timeout=0) == "outer(inner(all(own(async))))"
    assert Job(second, "", hub).result(timeout=0) == "outer(inner(all_sync(own(sync))))"
    assert told[:4] == [f"{name} in async" for name in ("outer", "inner", "all", "own")]


def test_each_part_of_a_sync_job_runs_where_procrastinate_runs_it(app: App, hub: Hub) -> None:
    where: dict[str, bool] = {}

    async def on_loop(call_next: Callable[[], Awaitable[Any]], *_: Any) -> Any:
        where["worker middleware"] = threading.current_thread() is threading.main_thread()
        return await call_next()

    def in_thread(call_next: Callable[[], Any], *_: Any) -> Any:
        where["task middleware"] = threading.current_thread() is threading.main_thread()
        return call_next()

    @app.task(name="t")
    def t() -> None:
        where["task"] = threading.current_thread() is threading.main_thread()

    app.worker_defaults["worker_middleware"] = [on_loop]
    app.worker_defaults["task_middleware"] = [in_thread]
    defer(app, "t")
    hub.run_worker(wait=False)

    assert where == {"worker middleware": True, "task middleware": False, "task": False}


@pytest.mark.parametrize("is_async", [True, False])
def test_worker_middleware_may_try_again_and_swallow_errors(
    app: App, hub: Hub, is_async: bool
) -> None:
    tried: list[int] = []

    def fail_once() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise StopIteration if not is_async else KeyError
        return "second try"

    async def fail_once_async() -> str:
        return fail_once()

    app.task(name="t")(fail_once_async if is_async else fail_once)

    async def again(call_next: Callable[[], Awaitable[Any]], *_: Any) -> Any:
        try:
            return await call_next()
        except (KeyError, RuntimeError):  # a future holds no StopIteration
            return await call_next()

    app.worker_defaults["worker_middleware"] = [again]
    job_id = defer(app, "t")
    hub.run_worker(wait=False)

    assert Job(job_id, "", hub).result(timeout=0) == "second try"


def test_an_error_of_a_task_passes_through_middleware_with_its_class(app: App, hub: Hub) -> None:
    async def plain(call_next: Callable[[], Awaitable[Any]], *_: Any) -> Any:
        return await call_next()

    @app.task(name="t")
    def t() -> None:
        raise LookupError("gone")

    app.worker_defaults["worker_middleware"] = [plain]
    job_id = defer(app, "t")
    hub.run_worker(wait=False)

    [attempt] = Job(job_id, "", hub).attempts()
    assert (attempt.outcome, attempt.error_class) == ("failed", "LookupError")


def test_middleware_can_stop_the_worker_from_a_thread(app: App, hub: Hub) -> None:
    def stop_after(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:
        worker.stop()  # type: ignore[no-untyped-call]  # procrastinate's
        return call_next()

    @app.task(name="t")
    def t() -> str:
        return "done"

    app.worker_defaults["task_middleware"] = [stop_after]
    job_id = defer(app, "t")

    asyncio.run(hub.worker(wait=True).run())

    assert Job(job_id, "", hub).result(timeout=0) == "done"


def test_middleware_that_is_none_is_refused_as_procrastinate_does(app: App, hub: Hub) -> None:
    def sync(call_next: Any, context: Any, worker: Any) -> Any: ...

    app.worker_defaults["worker_middleware"] = [sync]

    with pytest.raises(MiddlewareKindMismatch, match="must be async"):
        hub.worker()


# The App's own way to run a worker


def test_the_apps_own_run_worker_runs_ours(app: App, hub: Hub) -> None:
    @app.task(name="t")
    def t() -> str:
        return "done"

    first = defer(app, "t")
    app.run_worker(wait=False, install_signal_handlers=False)
    second = defer(app, "t")
    work(app)

    for job_id in (first, second):
        assert Job(job_id, "", hub).result(timeout=0) == "done"
        [attempt] = Job(job_id, "", hub).attempts()
        assert attempt.host is not None  # only our workers are in the registry


def test_options_of_run_worker_say_the_same_to_ours(
    app: App, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[JobContext] = []

    @app.task(name="t", pass_context=True)
    def t(context: JobContext) -> None:
        seen.append(context)

    defer(app, "t", {"queue": "other"})
    job_id = defer(app, "t", {"queue": "mine"})
    with caplog.at_level(logging.INFO, "taskhub.worker"):
        work(app, queues=["mine"], name="w", additional_context={"a": 1}, delete_jobs="always")

    [context] = seen
    assert (context.job.id, context.worker_name) == (job_id, "w")
    assert context.additional_context == {"a": 1}
    assert Job(job_id, "", hub).status() is Status.SUCCEEDED
    assert [
        (r.__dict__["option"], r.__dict__["instead"])
        for r in caplog.records
        if r.getMessage() == "worker option has no effect"
    ] == [("delete_jobs", "jobs that succeeded always move to the history")]


def test_one_job_runs_at_a_time_unless_the_app_says_otherwise(app: App, hub: Hub) -> None:
    assert app._worker().our_worker(signals=False).concurrency == 1  # type: ignore[attr-defined]
    assert hub.worker().concurrency == QUICK.concurrency

    app.worker_defaults["concurrency"] = 7

    assert app._worker().our_worker(signals=False).concurrency == 7  # type: ignore[attr-defined]
    assert hub.worker().concurrency == 7
    assert hub.worker(concurrency=2).concurrency == 2


def test_cancelling_run_worker_async_drains_and_leaves_the_app_as_it_was(
    app: App, hub: Hub
) -> None:
    started, ended = threading.Event(), threading.Event()
    go_on = threading.Event()

    @app.task(name="t")
    def t() -> None:
        started.set()
        go_on.wait(20)
        ended.set()

    job_id = defer(app, "t")

    async def work_and_cancel() -> None:
        async with app.open_async():
            working = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
            await asyncio.to_thread(started.wait, 20)
            working.cancel()
            asyncio.get_running_loop().call_later(0.2, go_on.set)
            await asyncio.gather(working, return_exceptions=True)
            assert await app.check_connection_async()

    asyncio.run(work_and_cancel())

    assert ended.is_set()
    assert Job(job_id, "", hub).status() is Status.SUCCEEDED


@pytest.mark.parametrize("kind", ["psycopg", "sqlalchemy"])
def test_an_app_with_a_synchronous_connector_gets_an_asynchronous_one_for_the_time(
    database: str, kind: str
) -> None:
    address = db.address(database)
    options = {"options": "-c search_path=taskhub"}
    connector: Any = (
        SyncPsycopgConnector(conninfo=db.conninfo(address), kwargs=options)
        if kind == "psycopg"
        else SQLAlchemyPsycopg2Connector(
            dsn=address.set(drivername="postgresql+psycopg2").render_as_string(False),
            connect_args=options,
        )
    )
    app = App(connector=connector)
    hub = Hub.from_procrastinate(app, settings=QUICK)
    seen: list[int] = []

    @app.task(name="child")
    def child(n: int) -> None:
        seen.append(n)

    @app.periodic(cron="* * * * * */1")
    @app.task(name="tick")
    def tick(timestamp: int) -> None:
        child.defer(n=timestamp)

    async def work_until_a_child_ran() -> None:
        working = asyncio.create_task(hub.worker().run())
        await asyncio.to_thread(until, lambda: seen, "a child's run")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(work_until_a_child_ran())
    hub.close()

    assert app.connector is connector
    with app.open():
        assert app.check_connection()


# Which hub, and where


@pytest.fixture
def shop(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose App says where its database is, as nothing else does."""
    (tmp_path / "their_shop.py").write_text(
        "import os, procrastinate\n"
        "app = procrastinate.App(connector=procrastinate.PsycopgConnector(\n"
        "    conninfo=os.environ['SHOP_DSN'], kwargs={'options': '-c search_path=taskhub'}),\n"
        "    worker_defaults={'concurrency': 2})\n"
        "@app.task(name='t', queue='q')\n"
        "def t(n): return n + 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_DSN", db.conninfo(db.address(database)))
    return tmp_path


def taskhub(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "taskhub", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_works_on_an_app(shop: Path) -> None:
    deferred = taskhub("-A", "their_shop:app", "defer", "t", "n=1", "-o", "ids")
    worked = taskhub("worker", "-A", "their_shop:app", "-q", "q", "--burst")
    shown = taskhub("-A", "their_shop:app", "show", deferred.stdout.strip(), "-o", "json")

    assert worked.returncode == 0, worked.stderr
    assert "worker of their_shop:app: 3 tasks, queues: q" in worked.stderr
    assert json.loads(shown.stdout)["result"] == 2


def test_the_apps_defaults_win_over_settings_and_a_flag_over_both(shop: Path) -> None:
    hub, name = apps.find(Settings(app="their_shop:app", concurrency=9))

    assert name == "their_shop:app"
    assert apps.names_database(hub)
    assert hub.worker().concurrency == 2
    apps.adjust(hub, concurrency=3)
    assert (hub.settings.schema, hub.worker().concurrency) == ("taskhub", 3)
    hub.close()


def test_a_worker_whose_jobs_would_wait_elsewhere_does_not_start(hub: Hub, database: str) -> None:
    build_newest(hub.engine, "public")
    app = app_on(db.address(database), "public")
    other = Hub.from_procrastinate(
        app, settings=Settings(schema="taskhub", sources={"schema": "flag"})
    )

    with pytest.raises(OtherPlace, match=r"finds procrastinate_jobs .* works in schema taskhub"):
        other.run_worker(wait=False)

    other.close()


def test_a_database_that_was_not_adopted_is_told_so(empty_database: str) -> None:
    from taskhub.migrations import SchemaBehind

    app = app_on(db.address(empty_database))
    hub = Hub.from_procrastinate(app)

    with pytest.raises(SchemaBehind, match="run `taskhub db migrate`"):
        hub.run_worker(wait=False)

    hub.close()
