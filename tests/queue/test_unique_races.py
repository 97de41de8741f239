"""Unique keys in transactions that run at the same time: never two jobs, and nobody's transaction spoilt."""

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.waiting import until

from taskhub import Hub, Job, Status, Task, db
from taskhub.queue import UniqueKeyBusy

Connection = psycopg.Connection[Any]
Racing = Task[..., Any]


@pytest.fixture
def task(hub: Hub) -> Racing:
    @hub.task(name="racing", unique="{key}")
    def racing(key: str) -> None: ...

    return racing


@pytest.fixture
def aside() -> Iterator[Callable[..., "Future[Job[Any]]"]]:
    """Calls a function in a thread of its own, which may have to wait."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


@contextmanager
def opened(hub: Hub, level: IsolationLevel | None = None) -> Iterator[Connection]:
    """A connection with a transaction of its own, which is committed at the end of the block."""
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        connection.isolation_level = level
        connection.execute("SELECT 1")
        yield connection


def defer(task: Racing, connection: Connection, key: str = "k") -> Job[Any]:
    job: Job[Any] = task.options(connection=connection).defer(key)
    return job


def blocked(hub: Hub, connection: Connection) -> None:
    def is_blocked() -> bool:
        with hub.engine.connect() as other:
            found = other.scalar(
                text("SELECT cardinality(pg_blocking_pids(:pid))"),
                {"pid": connection.info.backend_pid},
            )
            return bool(found)

    until(is_blocked, "the second transaction waits")


def stored(hub: Hub) -> list[str]:
    with hub.engine.connect() as connection:
        query = "SELECT args ->> 'key' FROM taskhub.procrastinate_jobs ORDER BY id"
        return list(connection.scalars(text(query)))


def test_who_waits_for_a_commit_gets_its_job(hub: Hub, task: Racing, aside: Any) -> None:
    with opened(hub) as first, opened(hub) as second:
        mine = defer(task, first)
        theirs = aside(defer, task, second)
        blocked(hub, second)
        first.commit()

        assert theirs.result(20) == mine
        assert not theirs.result().is_new


def test_who_waits_for_a_rollback_gets_a_new_job(hub: Hub, task: Racing, aside: Any) -> None:
    with opened(hub) as first, opened(hub) as second:
        mine = defer(task, first)
        theirs = aside(defer, task, second)
        blocked(hub, second)
        first.rollback()

        assert theirs.result(20).is_new
        assert theirs.result().id != mine.id
    assert stored(hub) == ["k"]


def test_who_waits_for_one_that_takes_a_key_over_gets_its_job(
    hub: Hub, task: Racing, aside: Any
) -> None:
    task.defer("k").cancel()
    with opened(hub) as first, opened(hub) as second:
        mine = defer(task, first)
        theirs = aside(defer, task, second)
        blocked(hub, second)
        first.commit()

        assert mine.is_new
        assert theirs.result(20) == mine


def test_a_savepoint_and_a_transaction_take_their_keys_along(hub: Hub, task: Racing) -> None:
    with hub.transaction() as session:
        with session.begin_nested() as savepoint:
            first = task.defer("k")
            savepoint.rollback()
        second = task.defer("k")
        session.rollback()
    third = task.defer("k")

    assert [first.is_new, second.is_new, third.is_new] == [True, True, True]
    assert stored(hub) == ["k"]


def test_waiting_in_vain_names_the_key_and_leaves_the_transaction_as_it_was(
    hub: Hub, task: Racing
) -> None:
    with opened(hub) as first, opened(hub) as second:
        defer(task, first)
        second.execute("SET LOCAL lock_timeout = '30ms'")
        before = defer(task, second, "before")
        with pytest.raises(UniqueKeyBusy, match="unique key 'k' could not be had: another open tr"):
            defer(task, second)
        after = defer(task, second, "after")
        timeout = second.execute("SHOW lock_timeout").fetchone()

    assert [before.is_new, after.is_new] == [True, True]
    assert timeout == ("30ms",)
    assert sorted(stored(hub)) == ["after", "before", "k"]


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize("is_taken_over", [False, True])
def test_a_snapshot_that_cannot_see_who_was_first_is_told_so(
    hub: Hub, task: Racing, level: IsolationLevel, is_taken_over: bool
) -> None:
    if is_taken_over:
        task.defer("k").cancel()
    with opened(hub, level) as second:
        task.defer("k")
        with pytest.raises(
            UniqueKeyBusy, match="'k' could not be had: a transaction that this one"
        ):
            defer(task, second)
        assert defer(task, second, "other").is_new

    assert sorted(stored(hub)) == ["k"] * (1 + is_taken_over) + ["other"]


def test_two_that_wait_for_each_other_do_not_wait_for_ever(
    hub: Hub, task: Racing, aside: Any
) -> None:
    with opened(hub) as first, opened(hub) as second:
        for connection in (first, second):
            connection.execute("SET LOCAL deadlock_timeout = '50ms'")
        defer(task, first, "a")
        defer(task, second, "b")
        calls = {aside(defer, task, first, "b"): first, aside(defer, task, second, "a"): second}
        refused = next(as_completed(calls, 20))
        with pytest.raises(UniqueKeyBusy, match="could not be had: two transactions wait for each"):
            refused.result()
        calls.pop(refused).rollback()

        [other] = calls
        assert other.result(20).is_new


@pytest.mark.parametrize("way", ["session", "psycopg"])
def test_a_refusal_in_the_second_thousand_takes_the_first_along(
    hub: Hub, task: Racing, way: str
) -> None:
    asked = [{"key": f"{n:04}"} for n in range(1500)]
    with opened(hub) as first:
        defer(task, first, "1400")
        if way == "psycopg":
            with opened(hub) as second:
                bulk(task.options(connection=second), asked, second.execute)
        else:
            with Session(hub.engine) as session, session.begin():
                bulk(task.options(session=session), asked, lambda sql: session.execute(text(sql)))

    assert sorted(stored(hub)) == ["1400", "after", "before"]


def bulk(task: Racing, asked: list[dict[str, str]], execute: Callable[[str], Any]) -> None:
    execute("SET LOCAL lock_timeout = '30ms'")
    task.defer("before")
    with pytest.raises(UniqueKeyBusy, match="'1400'"):
        task.defer_many(asked)
    task.defer("after")


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_so_does_a_refusal_on_an_asynchronous_session(hub: Hub, task: Racing, driver: str) -> None:
    asked = [{"key": f"{n:04}"} for n in range(1500)]

    async def bulk_async() -> None:
        engine = create_async_engine(hub.url.set(drivername=f"postgresql+{driver}"))
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("SET LOCAL lock_timeout = '30ms'"))
            deferring = task.options(session=session)
            await deferring.defer_async("before")
            with pytest.raises(UniqueKeyBusy, match="'1400'"):
                await deferring.defer_many_async(asked)
            await deferring.defer_async("after")
        await engine.dispose()

    with opened(hub) as first:
        defer(task, first, "1400")
        asyncio.run(bulk_async())

    assert sorted(stored(hub)) == ["1400", "after", "before"]


def test_a_job_that_is_cancelled_meanwhile_is_not_replaced(
    hub: Hub, task: Racing, aside: Any
) -> None:
    job = task.defer("k")
    replacing = task.options(on_conflict="replace")
    with opened(hub) as first, opened(hub) as second:
        first.execute(
            "UPDATE taskhub.procrastinate_jobs SET status = 'cancelled' WHERE id = %s", [job.id]
        )
        theirs = aside(defer, replacing, second)
        blocked(hub, second)
        first.commit()
        assert theirs.result(20).is_new

    assert job.status() is Status.CANCELLED
    assert theirs.result().status() is Status.TODO


RECORD = """
CREATE TABLE taken (key text, job_id bigint, at timestamptz);
CREATE FUNCTION note_taken() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.taken VALUES (NEW.key, NEW.job_id, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER note_taken AFTER INSERT OR UPDATE ON taskhub.unique_keys
FOR EACH ROW EXECUTE FUNCTION note_taken()
"""
# A job's life ends when its outcome is stored, which nobody sees before.
OVERLAPS = """
SELECT t.key, t.job_id, t.at, a.finished_at, t.next_at
FROM (
    SELECT key, job_id, at, lead(at) OVER (PARTITION BY key ORDER BY at) AS next_at FROM taken
) AS t
LEFT JOIN taskhub.attempts AS a ON a.job_id = t.job_id
WHERE t.next_at < coalesce(a.finished_at, 'infinity')
"""


def race(hub: Hub, task: Racing, seed: int) -> list[Job[Any]]:
    """Defer few keys in many transactions, some of which come to nothing; the jobs of the others."""
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    committed: list[Job[Any]] = []
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        deferring = task.options(connection=connection)
        for _ in range(60):
            asked = [{"key": chance.choice("abc")} for _ in range(chance.randint(1, 3))]
            jobs = deferring.defer_many(asked)
            if chance.random() < 0.3:
                connection.rollback()
                continue
            connection.commit()
            committed += jobs
            if chance.random() < 0.3:
                jobs[-1].result(timeout=20)
    return committed


async def race_beside_a_worker(hub: Hub, task: Racing) -> list[Job[Any]]:
    worker = asyncio.create_task(hub.run_worker_async())
    committed = await asyncio.gather(*(asyncio.to_thread(race, hub, task, n) for n in range(6)))
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await hub.run_worker_async(wait=False)
    return [job for jobs in committed for job in jobs]


def test_threads_that_commit_and_roll_back_never_make_two_living_jobs_of_a_key(
    hub: Hub, task: Racing
) -> None:
    with hub.engine.begin() as connection:
        connection.exec_driver_sql(RECORD)

    committed = asyncio.run(race_beside_a_worker(hub, task))

    with hub.engine.connect() as connection:
        overlaps = connection.execute(text(OVERLAPS)).all()
        taken = set(connection.scalars(text("SELECT job_id FROM taken")))
    assert overlaps == []
    assert len(taken) > 20
    # Who committed has a job, one that was stored, and that ran.
    assert {job.id for job in committed} == taken
    assert {job.status() for job in dict.fromkeys(committed)} == {Status.SUCCEEDED}
