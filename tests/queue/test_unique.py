"""Unique jobs: a second one is not stored while the first one counts, whatever becomes of it."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from taskhub import Blueprint, Fail, Hub, Job, Retry, Snooze, Status, Task, db
from taskhub.queue import BadArgument, actions
from taskhub.queue.retention import prune

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reset(hub: Hub) -> Task[..., Any]:
    @hub.task(name="reset", queue="mail", unique="reset:{account_id}")
    def reset(account_id: int, language: str = "en-US") -> str:
        return f"{account_id} {language}"

    return reset


def run(hub: Hub, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    with hub.engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []


def stored(hub: Hub) -> list[int]:
    return [r["id"] for r in run(hub, "SELECT id FROM taskhub.procrastinate_jobs ORDER BY id")]


def keys(hub: Hub) -> list[str]:
    return [r["key"] for r in run(hub, "SELECT key FROM taskhub.unique_keys ORDER BY key")]


def work(hub: Hub) -> None:
    # A worker that starts prunes at once; these tests say when.
    run(hub, "UPDATE taskhub.upkeep SET last_at = now()")
    hub.run_worker(wait=False)


def age(hub: Hub, seconds: float) -> None:
    """Let everything have happened so much longer ago."""
    for column in ("unique_keys SET taken_at = taken_at", "attempts SET finished_at = finished_at"):
        run(hub, f"UPDATE taskhub.{column} - make_interval(secs => :s)", s=seconds)


def test_while_a_job_waits_another_one_with_its_key_is_that_job(
    hub: Hub, reset: Task[..., Any]
) -> None:
    first, second = reset.defer(7, "en"), reset.defer(7, "zh")

    assert (second.id, second.is_new, first.is_new) == (first.id, False, True)
    assert second == first
    rows = run(hub, "SELECT id, args FROM taskhub.procrastinate_jobs")
    assert rows == [{"id": first.id, "args": {"account_id": 7, "language": "en"}}]


def test_other_keys_other_tasks_and_jobs_without_a_key_are_in_nobodys_way(
    hub: Hub, reset: Task[..., Any]
) -> None:
    @hub.task(name="other", unique="reset:{account_id}")
    def other(account_id: int) -> None: ...

    jobs = [
        reset.defer(7), reset.defer(8), other.defer(7), reset.options(unique="x").defer(7),
        reset.options(unique=None).defer(7), reset.options(unique=None).defer(7),
    ]  # fmt: skip

    assert len({job.id for job in jobs if job.is_new}) == 6


def test_a_running_job_counts_unless_the_key_is_for_waiting_ones_alone(hub: Hub) -> None:
    seen: dict[str, Job[None]] = {}

    @hub.task(name="again", unique="again")
    def again(mode: str) -> None:
        if mode not in seen:
            task = again.options(unique=mode, unique_until=mode, autocommit=True)  # type: ignore[arg-type]  # the words are the modes
            seen[mode] = task.defer("last")

    first = {mode: again.options(unique=mode).defer(mode) for mode in ("started", "ended")}
    seen["last"] = first["ended"]
    work(hub)

    assert seen["ended"] == first["ended"]
    assert seen["started"].is_new


def test_once_the_job_has_ended_the_key_is_free_however_it_ended(hub: Hub) -> None:
    @hub.task(unique="{how}")
    def end(how: str) -> None:
        if how == "failed":
            raise Fail("so it is told")

    first = [end.defer(how) for how in ("succeeded", "failed", "cancelled")]
    first[2].cancel()
    work(hub)
    second = [end.defer(how) for how in ("succeeded", "failed", "cancelled")]

    assert [job.status().value for job in first] == ["succeeded", "failed", "cancelled"]
    assert [job.is_new for job in second] == [True, True, True]


@pytest.mark.parametrize("again", [Retry(in_seconds=300), Snooze(300)])
def test_a_job_that_waits_again_keeps_its_key(hub: Hub, again: Exception) -> None:
    @hub.task(unique="k", retry=3)
    def task() -> None:
        raise again

    first = task.defer()
    work(hub)

    assert first.status() is Status.TODO
    assert task.defer().id == first.id


def test_a_job_that_was_lost_with_its_worker_keeps_its_key(hub: Hub, reset: Task[..., Any]) -> None:
    first = reset.defer(7)
    run(hub, "UPDATE taskhub.procrastinate_jobs SET status = 'doing', worker_id = 999, claim = 1")
    while_lost = reset.defer(7)
    hub.write("rescue_jobs", lease_seconds=0.0, worker_ids=None, what="lost")
    rescued = reset.defer(7)

    assert first.status() is Status.TODO
    assert [while_lost.id, rescued.id] == [first.id, first.id]


def test_within_the_window_there_is_no_second_one_however_it_ended(hub: Hub) -> None:
    @hub.task(unique="{how}", unique_for="1h")
    def end(how: str) -> None:
        if how == "failed":
            raise Fail("so it is told")

    first = [end.defer(how) for how in ("succeeded", "failed")]
    work(hub)
    age(hub, 3500)
    within = [end.defer(how) for how in ("succeeded", "failed")]
    age(hub, 200)
    after = [end.defer(how) for how in ("succeeded", "failed")]

    assert within == first
    assert [job.is_new for job in after] == [True, True]


def test_a_job_that_waits_longer_than_the_window_still_counts(hub: Hub) -> None:
    @hub.task(unique="k", unique_for=timedelta(minutes=1))
    def task() -> None: ...

    first = task.defer()
    age(hub, 3600)

    assert task.defer().id == first.id


def test_a_retried_dead_letter_runs_beside_the_job_that_has_its_key_by_now(hub: Hub) -> None:
    ran: list[int] = []

    @hub.task(unique="k")
    def task(n: int) -> None:
        ran.append(n)
        if ran == [1]:
            raise Fail("the first time")

    dead = task.defer(1)
    work(hub)
    newer = task.defer(2)
    [retried] = actions.retry(hub, [dead.id])
    third = task.defer(3)
    work(hub)

    assert retried.outcome == "retried"
    assert third.id == newer.id
    assert sorted(ran) == [1, 1, 2]
    assert task.defer(4).is_new


def test_a_retried_dead_letter_whose_key_nobody_took_has_it_again(hub: Hub) -> None:
    @hub.task(unique="k")
    def task() -> None:
        raise Fail("always")

    dead = task.defer()
    work(hub)
    prune(hub)
    actions.retry(hub, [dead.id])

    assert task.defer().id == dead.id


# Replace

REPLACING: dict[str, dict[str, Any]] = {
    "plain": {},
    "date": {"at": datetime(2040, 1, 1, tzinfo=UTC)},
    "lock": {"lock": "l:{n}"},
    "limit": {"limit": "t:{n}", "at_most": 2, "tokens": 3},
    "all": {
        "lock": "l:{n}", "limit": "t:{n}", "at_most": 2, "priority": 5, "queue": "fast",
        "fair_key": "f{n}", "queueing_lock": "q{n}",
    },
}  # fmt: skip


def test_a_replaced_job_is_what_a_new_one_would_be(hub: Hub) -> None:
    @hub.task(name="t", unique="k", on_conflict="replace")
    def task(n: int) -> None: ...

    for before, after in product(REPLACING.values(), repeat=2):
        first = task.options(**before).defer(1)
        second = task.options(**after).defer(2)
        [row] = run(hub, "DELETE FROM taskhub.procrastinate_jobs RETURNING *")
        task.options(**after).defer(2)
        [fresh] = run(hub, "DELETE FROM taskhub.procrastinate_jobs RETURNING *")

        assert (second.id, second.is_new) == (first.id, False)
        assert {k for k in row if row[k] != fresh[k]} <= {"id", "deferred_at"}, (before, after)


def test_a_replaced_job_runs_once_with_the_last_arguments(hub: Hub) -> None:
    ran: list[int] = []

    @hub.task(unique="k", on_conflict="replace", lock="l{n}")
    def task(n: int) -> None:
        ran.append(n)

    task.options(delay=3600).defer(1)
    task.options(delay=3600, queue="other").defer(2)
    task.defer(3)
    work(hub)

    assert ran == [3]


def test_a_running_job_is_not_replaced(hub: Hub) -> None:
    seen: list[Job[None]] = []
    ran: list[int] = []

    @hub.task(unique="k", on_conflict="replace")
    def task(n: int) -> None:
        ran.append(n)
        seen.append(task.options(autocommit=True).defer(2))

    first = task.defer(1)
    work(hub)

    assert seen == [first]
    assert ran == [1]


# Bulk


def test_twins_in_one_call_are_one_job(hub: Hub, reset: Task[..., Any]) -> None:
    before = reset.defer(3)
    jobs = reset.defer_many([{"account_id": n % 5, "language": str(n)} for n in range(12)])

    assert [job.is_new for job in jobs] == [n < 5 and n != 3 for n in range(12)]
    assert [job.id for job in jobs[:5]] == [job.id for job in jobs[5:10]]
    assert jobs[3] == before
    rows = run(
        hub, "SELECT args FROM taskhub.procrastinate_jobs WHERE id > :id ORDER BY id", id=before.id
    )
    # In their order, which is the one they run in.
    assert [row["args"]["language"] for row in rows] == ["0", "1", "2", "4"]


def test_of_twins_that_replace_one_another_the_last_one_is_stored(
    hub: Hub, reset: Task[..., Any]
) -> None:
    task = reset.options(on_conflict="replace")
    task.defer_many([{"account_id": n % 2, "language": str(n)} for n in range(6)])

    rows = run(hub, "SELECT args FROM taskhub.procrastinate_jobs ORDER BY id")
    assert [row["args"]["language"] for row in rows] == ["4", "5"]


def test_thousands_are_stored_once(hub: Hub, reset: Task[..., Any]) -> None:
    asked = [{"account_id": n} for n in range(2500)]
    first = reset.defer_many(asked)
    with hub.transaction():
        second = reset.defer_many([*asked, {"account_id": 2500}])

    assert [job.id for job in second[:2500]] == [job.id for job in first]
    assert [job.is_new for job in second] == [False] * 2500 + [True]
    assert stored(hub) == [job.id for job in second]


# Every way in

Way = Callable[[Hub, Task[..., Any]], Coroutine[Any, Any, Job[Any]]]


async def by_itself(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    return task.defer(7)


async def by_itself_async(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    return await task.defer_async(7)


async def by_session(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    with hub.transaction():
        return task.defer(7)


async def by_async_session(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    async with hub.transaction_async():
        return await task.defer_async(7)


async def by_asyncpg(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    engine = create_async_engine(hub.url.set(drivername="postgresql+asyncpg"))
    async with AsyncSession(engine) as session, session.begin():
        job = await task.options(session=session).defer_async(7)
    await engine.dispose()
    return job


async def by_psycopg2(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    engine = create_engine(hub.url.set(drivername="postgresql+psycopg2"))
    with Session(engine) as session, session.begin():
        job = task.options(session=session).defer(7)
    engine.dispose()
    return job


async def by_psycopg(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        return task.options(connection=connection).defer(7)


async def by_psycopg_autocommit(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        return task.options(connection=connection).defer(7)


async def by_async_psycopg(hub: Hub, task: Task[..., Any]) -> Job[Any]:
    connection = await psycopg.AsyncConnection.connect(db.conninfo(hub.url))
    async with connection:
        return await task.options(connection=connection).defer_async(7)


WAYS: list[Way] = [
    by_itself, by_itself_async, by_session, by_async_session, by_asyncpg, by_psycopg2, by_psycopg,
    by_psycopg_autocommit, by_async_psycopg,
]  # fmt: skip


def deferred(hub: Hub, task: Task[..., Any], *ways: Way) -> list[Job[Any]]:
    async def one_after_the_other() -> list[Job[Any]]:
        try:
            return [await way(hub, task) for way in ways]
        finally:
            await hub.close_async()

    return asyncio.run(one_after_the_other())


def test_the_key_is_one_on_every_way_in(hub: Hub, reset: Task[..., Any]) -> None:
    jobs = deferred(hub, reset, *WAYS)

    assert [job.is_new for job in jobs] == [True] + [False] * (len(WAYS) - 1)
    assert {job.id for job in jobs} == {*stored(hub)}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_takes_a_key(hub: Hub, reset: Task[..., Any], way: Way) -> None:
    [job] = deferred(hub, reset, way)

    assert job.is_new
    assert keys(hub) == ["reset:7"]
    assert stored(hub) == [job.id]


def test_a_role_that_may_only_defer_needs_no_rights_on_the_keys(
    hub: Hub, reset: Task[..., Any]
) -> None:
    run(hub, "DROP ROLE IF EXISTS unique_deferrer")
    run(hub, "CREATE ROLE unique_deferrer")
    run(hub, "GRANT USAGE ON SCHEMA taskhub TO unique_deferrer")
    try:
        with pytest.raises(Exception, match="permission denied"), hub.transaction() as session:
            session.execute(text("SET LOCAL ROLE unique_deferrer"))
            reset.defer(7)
        run(hub, "GRANT EXECUTE ON FUNCTION taskhub.defer_unique_v1 TO unique_deferrer")
        with hub.transaction() as session:
            session.execute(text("SET LOCAL ROLE unique_deferrer"))
            jobs = [reset.defer(7), reset.defer(7)]
    finally:
        run(hub, "DROP OWNED BY unique_deferrer")
        run(hub, "DROP ROLE unique_deferrer")

    assert [job.is_new for job in jobs] == [True, False]


def test_hooks_hear_of_a_job_once(hub: Hub, reset: Task[..., Any]) -> None:
    heard: list[int] = []
    hub.on("job.deferred", lambda event: heard.append(event.job_id))
    first = reset.defer(7)
    reset.defer(7)
    many = reset.defer_many([{"account_id": 7}, {"account_id": 8}])

    assert heard == [first.id, many[1].id]


# What is kept


def test_keys_go_when_they_count_no_more(hub: Hub) -> None:
    @hub.task(unique="{how}")
    def end(how: str) -> None:
        if how == "failed":
            raise Fail("so it is told")

    for how in ("succeeded", "failed"):
        end.defer(how)
    end.options(unique_for="1h").defer("window")
    work(hub)
    end.options(delay=60).defer("waits")

    assert keys(hub) == ["failed", "succeeded", "waits", "window"]
    assert prune(hub, dry_run=True).unique_keys == 1
    assert prune(hub).unique_keys == 1
    # A dead letter can be retried, and must have its key then.
    assert keys(hub) == ["failed", "waits", "window"]
    run(hub, "DELETE FROM taskhub.procrastinate_jobs WHERE status = 'failed'")
    age(hub, 3700)
    prune(hub)
    assert keys(hub) == ["waits"]


def test_the_columns_of_a_unique_job_are_those_of_any_job() -> None:
    def columns(name: str) -> set[str]:
        statement = (ROOT / name).read_text(encoding="utf-8")
        found = re.search(r"INSERT INTO \S*procrastinate_jobs\s*\(([^)]*)\)", statement)
        assert found is not None
        return {column.strip() for column in found[1].split(",")}

    plain = columns("src/taskhub/queue/sql/insert_jobs.sql")

    assert columns("alembic/sql/defer_unique_v1.sql") - {"id"} == plain


# Input

BAD: list[tuple[dict[str, Any], str]] = [
    ({"unique": "k:{missing}"}, "unique names 'missing', which is no parameter of the task"),
    ({"unique": True}, "unique must be text like"),
    ({"unique": ""}, "unique must be text like"),
    ({"unique": "k", "unique_until": "started!"}, "unique_until must be ended or started, got 'st"),
    ({"unique": "k", "unique_for": "1 week"}, 'unique_for must be "30s", "10m"'),
    ({"unique": "k", "unique_for": 0}, "above 0, got 0"),
    ({"unique": "k", "unique_for": True}, "above 0, got True"),
    ({"unique": "k", "unique_for": timedelta(days=-1)}, "unique_for must be"),
    ({"unique": "k", "on_conflict": "drop"}, "on_conflict must be keep or replace, got 'drop'"),
    ({"unique_until": "started"}, "unique_until needs unique=, got 'started'"),
    ({"unique_for": 60}, "unique_for needs unique=, got 60"),
    ({"on_conflict": "replace"}, "on_conflict needs unique=, got 'replace'"),
    ({"unique": "k", "cache": "1h"}, "give unique or cache, not both"),
    ({"cache": "1h", "on_conflict": "replace"}, "on_conflict goes without cache=, got 'replace'"),
    ({"cache": "soon"}, 'cache must be "30s", "10m", "1h", "7d", a timedelta or seconds, above 0'),
    ({"cache": float("inf")}, "cache must be"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_nonsense_is_refused_where_it_is_declared(options: dict[str, Any], message: str) -> None:
    def reset(account_id: int) -> None: ...

    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        Blueprint().task(**options)(reset)


def test_nonsense_is_refused_where_it_is_said_of_a_job(reset: Task[..., Any]) -> None:
    with pytest.raises(BadArgument, match="unique_for must be"):
        reset.options(unique_for=-1)
    with pytest.raises(TypeError, match="give unique or cache, not both"):
        reset.options(cache="1h")


def test_a_key_that_is_too_long_is_refused_before_any_sql(hub: Hub) -> None:
    @hub.task(unique="{key}")
    def task(key: str) -> None: ...

    with pytest.raises(BadArgument, match="unique must be at most 1024 bytes, got 1025"):
        task.defer("k" * 1025)
    assert task.defer("k" * 1024).is_new
