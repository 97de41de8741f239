"""Jobs whose task, or whose version of it, a worker does not know."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from procrastinate import App, PsycopgConnector
from sqlalchemy import text
from tests.waiting import until

from taskhub import Hub, Status, db
from taskhub.queue import JobEvent


@pytest.fixture
def stranger(hub: Hub) -> Iterator[Hub]:
    """A hub of the same database that knows one task, "known"."""
    made = Hub(settings=hub.settings)

    @made.task(name="known")
    async def known() -> None: ...

    yield made
    made.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def value(hub: Hub, query: str) -> Any:
    with hub.engine.begin() as connection:
        return connection.scalar(text(query))


GATES = "SELECT array_agg(gate ORDER BY id) FROM taskhub.procrastinate_jobs"
CLAIMS = "SELECT max(claim) FROM taskhub.procrastinate_jobs"
UNKNOWN = "SELECT array_agg(task_name) FROM taskhub.unknown_tasks"
FILL = """
    INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name)
    SELECT 'default', 'unknown' FROM generate_series(1, {})
"""


@contextmanager
def working(*hubs: Hub) -> Iterator[None]:
    """A worker of each hub on one loop in a thread, drained at the end."""
    workers = [hub.worker() for hub in hubs]

    async def all_of_them() -> None:
        await asyncio.gather(*(worker.run() for worker in workers))

    thread = Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop(0.0)
        thread.join(20)
        assert not thread.is_alive()


def test_a_job_that_no_worker_knows_is_met_once_and_uses_no_attempt(
    hub: Hub, stranger: Hub
) -> None:
    @hub.task(name="unknown")
    async def unknown() -> None: ...

    job = unknown.defer()
    for _ in range(3):
        work(stranger)

    assert job.status() is Status.TODO
    assert job.attempts() == []
    assert (value(hub, GATES), value(hub, CLAIMS)) == ([4], 1)


def test_a_worker_that_knows_it_by_name_or_alias_takes_it_up(hub: Hub, stranger: Hub) -> None:
    @hub.task(name="unknown", queueing_lock="q")
    async def unknown(n: int) -> None: ...

    @hub.task(name="new", aliases=("old",))
    async def new() -> None: ...

    jobs = [unknown.defer(1), new.defer()]
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET task_name = 'old' WHERE task_name = 'new'")
        )
    work(stranger)
    assert value(hub, GATES) == [4, 4]

    work(hub)

    assert [job.status() for job in jobs] == [Status.SUCCEEDED] * 2
    assert value(hub, UNKNOWN) is None


def test_a_known_job_runs_though_many_unknown_ones_came_before_it(hub: Hub, stranger: Hub) -> None:
    value(hub, FILL.format(5000) + " RETURNING 1")
    job = stranger.tasks["known"].defer()

    work(stranger)

    assert job.status() is Status.SUCCEEDED
    assert value(hub, "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 4") == 5000
    # Five looks at 2,000 each are enough: most were never claimed.
    assert value(hub, "SELECT sum(claim) FROM taskhub.procrastinate_jobs") < 50


def test_jobs_that_were_set_aside_cost_a_claim_nothing(hub: Hub, stranger: Hub) -> None:
    def pages(worker: str) -> int:
        look = (
            f"SELECT * FROM taskhub.tick_v1({worker}, '{{}}', '{{}}', NULL, NULL, 1, NULL, "
            "'{}', '{}', '{}', NULL, 0, 2, false, 0, 0, '-infinity', false)"
        )
        with hub.engine.connect() as connection:
            connection.execute(text(look))
            connection.rollback()
            plan = connection.scalar(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {look}"))
            connection.rollback()
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    work(stranger)
    worker = value(hub, "SELECT max(id) FROM taskhub.workers")
    stranger.tasks["known"].defer()
    alone = pages(worker)
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, gate) "
                "SELECT 'default', 'unknown', 4 FROM generate_series(1, 20000)"
            )
        )
        connection.execute(
            text("INSERT INTO taskhub.unknown_tasks (task_name, version) VALUES ('unknown', 1)")
        )

    crowded = pages(worker)

    assert crowded <= 1.5 * alone


def test_in_a_mixed_fleet_each_job_runs_where_it_is_known(hub: Hub, stranger: Hub) -> None:
    ran: list[int] = []

    @hub.task(name="unknown")
    async def unknown(n: int) -> None:
        ran.append(n)

    with working(stranger, hub):
        until(lambda: value(hub, "SELECT count(*) FROM taskhub.workers") == 2, "both workers")
        unknown.defer_many([{"n": n} for n in range(100)])
        until(lambda: len(ran) == 100, "all jobs")

    assert sorted(ran) == list(range(100))
    # A worker that does not know them hardly meets one twice.
    assert value(hub, "SELECT max(claim) FROM taskhub.attempts") <= 5
    assert value(hub, "SELECT count(*) FROM taskhub.attempts") == 100


def test_it_is_told_once_in_the_fleet(
    hub: Hub, stranger: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[JobEvent] = []
    stranger.on("task.unknown", heard.append)
    value(hub, FILL.format(3) + " RETURNING 1")
    work(stranger)
    value(hub, "UPDATE taskhub.unknown_tasks SET since = now() - interval '1 hour' RETURNING 1")

    with caplog.at_level(logging.ERROR):
        work(stranger)
        work(stranger)

    told = [
        r for r in caplog.records if r.message == "no live worker knows the task of waiting jobs"
    ]
    assert [(vars(r)["task"], vars(r)["waiting"]) for r in told] == [("unknown", 3)]
    assert [(e.task_name, e.queue) for e in heard] == [("unknown", "default")]


def test_a_job_that_was_set_aside_keeps_its_lock_and_gives_up_its_slot(
    hub: Hub, stranger: Hub
) -> None:
    @hub.task(name="unknown", lock="a", limit="x", at_most=1)
    async def unknown() -> None: ...

    first = unknown.defer()
    stranger.tasks["known"].options(lock="a").defer()
    other = stranger.tasks["known"].options(limit="x", at_most=1).defer()
    work(stranger)

    assert value(hub, GATES) == [4, 2]
    assert other.status() is Status.SUCCEEDED
    first.cancel()
    work(stranger)
    assert value(hub, "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status = 'todo'") == 0


def test_a_task_is_forgotten_when_its_last_job_is_gone(hub: Hub, stranger: Hub) -> None:
    value(hub, FILL.format(1) + " RETURNING 1")
    work(stranger)
    assert value(hub, UNKNOWN) == ["unknown"]

    value(hub, "DELETE FROM taskhub.procrastinate_jobs RETURNING 1")
    work(stranger)

    assert value(hub, UNKNOWN) is None


def test_a_note_that_somebody_deleted_is_written_again(hub: Hub, stranger: Hub) -> None:
    value(hub, FILL.format(1) + " RETURNING 1")
    work(stranger)
    value(hub, "DELETE FROM taskhub.unknown_tasks RETURNING 1")

    work(stranger)

    assert value(hub, UNKNOWN) == ["unknown"]


def test_a_plain_procrastinate_worker_may_take_what_was_set_aside(hub: Hub, stranger: Hub) -> None:
    ran: list[int] = []
    conninfo = db.conninfo(hub.url)
    app = App(
        connector=PsycopgConnector(conninfo=conninfo, kwargs={"options": "-c search_path=taskhub"})
    )

    @app.task(name="theirs")
    async def theirs() -> None:
        ran.append(1)

    value(hub, FILL.replace("'unknown'", "'theirs'").format(2) + " RETURNING 1")
    work(stranger)
    assert value(hub, GATES) == [4, 4]

    async def run() -> None:
        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)

    asyncio.run(run())

    assert ran == [1, 1]
