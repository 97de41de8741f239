"""What the queue holds, hot and cold as one, also while jobs move, and without reading everything."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.queue.staged import change, new_worker

from taskhub import Context, Hub, Status, db
from taskhub.cli import look
from taskhub.queue import horizon, insight, sql
from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import listing, totals
from taskhub.queue.states import JobDetail, Page, TaskCount


@contextmanager
def connected(hub: Hub) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        yield connection


def history(hub: Hub, jobs: int, *, task: str = "old", age: str = "2 hours") -> None:
    """Ids from 1 on of jobs that succeeded, the last of them so long ago."""
    with connected(hub) as connection:
        connection.execute(
            """
            INSERT INTO taskhub.attempts
                (job_id, claim, attempt, outcome, queue_name, task_name, started_at, finished_at)
            SELECT n, 1, 1, 'succeeded', 'q', %s, now(), now() - %s::interval
            FROM generate_series(1, %s) AS n
            """,
            [task, age, jobs],
        )
        connection.execute(
            "SELECT setval('taskhub.procrastinate_jobs_id_seq', %s)",
            [jobs],
        )


def explained(hub: Hub, statement: str, **parameters: Any) -> dict[str, Any]:
    with connected(hub) as connection:
        connection.execute("SET enable_seqscan = off")
        row = connection.execute(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql.load(statement, "taskhub"), parameters
        ).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def read_blocks(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@contextmanager
def moving(hub: Hub) -> Iterator[threading.Thread]:
    """A worker that takes jobs from the jobs table to the history meanwhile."""
    thread = threading.Thread(target=lambda: hub.run_worker(wait=False))
    thread.start()
    yield thread
    thread.join()


def test_jobs_that_move_while_they_are_listed_are_met_exactly_once(hub: Hub) -> None:
    @hub.task(name="step")
    async def step() -> None: ...

    ids = [step.defer().id for _ in range(120)]
    seen: list[list[int]] = []
    with moving(hub) as worker:
        while worker.is_alive():
            seen.append([line.id for line in insight.jobs(hub, limit=1000)])

    assert len(seen) > 1
    assert all(listed == ids[::-1] for listed in seen)


def test_a_job_is_shown_with_the_history_of_the_same_moment(hub: Hub) -> None:
    @hub.task(name="step")
    async def step() -> None:
        await asyncio.sleep(0)

    jobs = [step.defer() for _ in range(40)]
    shown: list[JobDetail] = []
    with moving(hub) as worker:
        while worker.is_alive():
            shown += [insight.job(hub, job.id) for job in jobs[::8]]

    assert {one.status for one in shown} >= {"succeeded"}
    assert all((one.status == "succeeded") == bool(one.history) for one in shown)


def test_counts_of_one_moment_add_up_while_jobs_move(hub: Hub) -> None:
    @hub.task(name="step")
    async def step() -> None: ...

    for _ in range(120):
        step.defer()
    sums: list[int] = []
    with moving(hub) as worker:
        while worker.is_alive():
            now = insight.counts(hub)
            sums.append(now.ready + now.running + now.succeeded_lately)

    assert set(sums) == {120}


def test_pages_hold_every_job_once_across_hot_and_cold(hub: Hub) -> None:
    history(hub, 30)

    @hub.task(name="new")
    def new() -> None: ...

    ids = list(range(1, 31)) + [new.defer().id for _ in range(10)]
    pages: list[list[int]] = []
    before_id: int | None = None
    while True:
        page = insight.page(hub, limit=7, before_id=before_id)
        pages.append([line.id for line in page.jobs])
        if (before_id := page.before_id) is None:
            break

    assert [n for page_ids in pages for n in page_ids] == ids[::-1]
    assert [len(page_ids) for page_ids in pages] == [7, 7, 7, 7, 7, 5]


def test_an_empty_queue_has_one_empty_page(hub: Hub) -> None:
    assert insight.page(hub) == Page([], None)


def test_a_search_that_finds_nothing_stops_in_time_and_can_be_continued(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FIRST_IDS", 10)
    monkeypatch.setattr(listing, "QUICK_SECONDS", 0.0)  # ever narrower, as on a slow server
    history(hub, 100)
    history_of_one = JobFilter(tasks=("rare",))

    stopped = insight.page(hub, history_of_one, seconds=0.0)
    whole = insight.page(hub, history_of_one)

    assert stopped == Page([], 101)
    assert whole == Page([], None)


def test_a_page_reads_only_the_partitions_of_its_ids(hub: Hub) -> None:
    history(hub, 10)
    asked = JobFilter(tasks=("rare",)).parameters()

    ids = {"from_id": 1_000_000, "before_id": 1_500_000, "candidates": None}
    plan = explained(hub, "list_jobs", **asked, **ids, limit=50)

    read = set(json.dumps(plan).split('"Relation Name": "')[1:])
    assert {name.split('"')[0] for name in read if name.startswith("attempts")} == {"attempts_1"}


def test_the_runs_of_the_last_hour_are_counted_without_reading_the_older_ones(hub: Hub) -> None:
    history(hub, 50_000)
    with connected(hub) as connection:
        connection.execute("VACUUM taskhub.attempts")

    plan = explained(hub, "count_runs", since_seconds=3600, most=100)

    assert read_blocks(plan) < 60
    assert "attempts_0_finished_at_idx" in json.dumps(plan)


def test_counting_stops_where_there_are_very_many(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "MOST_RUNS", 100)
    history(hub, 100, age="1 minute")
    exact = insight.counts(hub)
    history_of_more = insight.counts(hub, since=timedelta(seconds=1))
    with connected(hub) as connection:
        connection.execute("UPDATE taskhub.attempts SET claim = 2 WHERE job_id = 1")
        connection.execute(
            """
            INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name, task_name)
            VALUES (1, 1, 1, 'retried', 'q', 't')
            """
        )
    more = insight.counts(hub)

    assert (exact.succeeded_lately, exact.is_more_lately) == (100, False)
    assert history_of_more.succeeded_lately == 0
    assert (more.succeeded_lately + more.failed_runs_lately, more.is_more_lately) == (101, True)


def test_an_attempt_tells_its_duration_and_what_was_logged(hub: Hub) -> None:
    shop = logging.getLogger("shop")

    @hub.task(name="send")
    def send(ctx: Context) -> None:
        ctx.log.warning("slow mail server")
        shop.error("gave up")
        raise ValueError("no route")

    job = send.defer()
    hub.run_worker(wait=False)

    [attempt] = job.attempts()
    assert job.status() is Status.FAILED
    assert attempt.started_at is not None
    assert attempt.duration_seconds == (
        pytest.approx((attempt.finished_at - attempt.started_at).total_seconds())
    )
    assert [line.split(" ", 1)[1] for line in (attempt.log or "").splitlines()] == [
        "WARNING taskhub.task: slow mail server",
        "ERROR shop: gave up",
    ]
    screen = look._job_screen(insight.job(hub, job.id))
    assert "ERROR shop: gave up" in screen
    assert "ValueError: no route" in screen


def test_a_run_that_never_began_has_no_duration_and_no_log(hub: Hub) -> None:
    @hub.task(name="send")
    def send() -> None: ...

    job = send.defer()
    job.cancel(reason="enough")

    [attempt] = job.attempts()
    assert (attempt.outcome, attempt.duration_seconds, attempt.log) == ("cancelled", None, None)
    assert "enough" in look._job_screen(insight.job(hub, job.id))


def test_the_status_names_who_holds_the_vacuum_horizon_only_when_it_matters(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(db.conninfo(hub.url), application_name="report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM taskhub.attempts")
        before = look._holds(hub)
        monkeypatch.setattr(horizon, "HELD_SECONDS", 0.0)
        monkeypatch.setattr(horizon, "DEAD_ROWS", 0)

        [note] = look._holds(hub)

    assert before == []
    assert f"held by session pid {reader_pid(note)}, 'report', idle in transaction" in note


def reader_pid(note: str) -> str:
    return note.split("pg_terminate_backend(")[1].rstrip(")")


def test_waiting_jobs_of_a_newer_version_are_unserved_and_older_ones_are_not(hub: Hub) -> None:
    @hub.task(name="greet", queue="mail", version=3)
    async def greet() -> None: ...

    greet.defer_many([{}] * 3)
    change(hub, "UPDATE taskhub.procrastinate_jobs SET version = id")
    new_worker(hub, queues=["mail"], tasks=("greet",), versions={"greet": 2})
    new_worker(hub, queues=["other"], tasks=("greet",), versions={"greet": 3})

    found = insight.unserved(hub)

    assert found == [TaskCount("mail", "greet", 1, version=3, newest_version=2)]
    assert look._unserved(found[0]) == (
        "1 jobs of task 'greet' wait in queue 'mail', and their version is 3, which no live worker knows: "
        "the newest one has 2"
    )
    new_worker(hub, tasks=("greet",), versions={"greet": 3})
    assert insight.unserved(hub) == []
