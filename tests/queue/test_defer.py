"""defer(): one INSERT in whatever transaction is meant."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from taskhub import Hub, Task, db
from taskhub.queue import AmbiguousTransaction, OtherDatabase

# Its second parameter has a default, which a written-out Task[[int, int], int] cannot say.
Add = Task[..., int]


@pytest.fixture
def add(hub: Hub) -> Add:
    @hub.task(name="add", queue="sums")
    def add(a: int, b: int = 1) -> int:
        return a + b

    return add


def stored(hub: Hub) -> list[dict[str, Any]]:
    with hub.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM taskhub.procrastinate_jobs ORDER BY id"))
        return [dict(row) for row in rows.mappings()]


def driver(hub: Hub, name: str) -> Any:
    return hub.url.set(drivername=f"postgresql+{name}")


def test_positional_arguments_are_stored_by_name(hub: Hub, add: Add) -> None:
    add.defer(3, 5)

    assert [row["args"] for row in stored(hub)] == [{"a": 3, "b": 5}]


def test_without_any_transaction_the_job_commits_by_itself(hub: Hub, add: Add) -> None:
    job = add.delay(3)

    assert [(row["id"], row["queue_name"]) for row in stored(hub)] == [(job.id, "sums")]


def test_the_open_transaction_is_joined_without_naming_it(hub: Hub, add: Add) -> None:
    with pytest.raises(ZeroDivisionError), hub.transaction():
        add.defer(3)
        raise ZeroDivisionError

    assert stored(hub) == []


def test_a_savepoint_takes_its_jobs_along(hub: Hub, add: Add) -> None:
    with hub.transaction() as session:
        kept = add.defer(1)
        savepoint = session.begin_nested()
        add.defer(2)
        savepoint.rollback()

    assert [row["id"] for row in stored(hub)] == [kept.id]


@pytest.mark.parametrize("name", ["psycopg", "psycopg2"])
def test_a_sync_session_of_any_driver_carries_the_job(hub: Hub, add: Add, name: str) -> None:
    engine = create_engine(driver(hub, name))

    with Session(engine) as session:
        add.options(session=session).defer(1)
        session.rollback()
        kept = add.options(session=session).defer(2)
        session.commit()
    engine.dispose()

    assert [row["id"] for row in stored(hub)] == [kept.id]


@pytest.mark.parametrize("name", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_an_async_session_or_connection_carries_the_job(
    hub: Hub, add: Add, name: str, kind: str
) -> None:
    async def work() -> int:
        engine = create_async_engine(driver(hub, name))
        opened: Any = AsyncSession(engine) if kind == "session" else engine.connect()
        async with opened as target:
            await add.options(session=target).defer_async(1)
            await target.rollback()
            kept = await add.options(session=target).defer_async(2)
            await target.commit()
        await engine.dispose()
        return kept.id

    kept = run(hub, work())

    assert [row["id"] for row in stored(hub)] == [kept]


def test_a_psycopg_connection_carries_the_job(hub: Hub, add: Add) -> None:
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        add.options(connection=connection).defer(1)
        connection.rollback()
        kept = add.options(connection=connection).defer(2)

    assert [row["id"] for row in stored(hub)] == [kept.id]


def test_an_async_psycopg_connection_carries_the_job(hub: Hub, add: Add) -> None:
    async def work() -> int:
        async with await psycopg.AsyncConnection.connect(db.conninfo(hub.url)) as connection:
            await add.options(connection=connection).defer_async(1)
            await connection.rollback()
            kept = await add.options(connection=connection).defer_async(2)
        return kept.id

    kept = run(hub, work())

    assert [row["id"] for row in stored(hub)] == [kept]


def test_a_sync_core_connection_carries_the_job(hub: Hub, add: Add) -> None:
    with hub.engine.connect() as connection:
        add.options(session=connection).defer(1)
        connection.rollback()

    assert stored(hub) == []


def test_a_sync_defer_works_inside_a_running_event_loop(hub: Hub, add: Add) -> None:
    async def work() -> int:
        return add.defer(1).id

    job_id = run(hub, work())

    assert [row["id"] for row in stored(hub)] == [job_id]


def test_the_async_transaction_is_joined_by_defer_async(hub: Hub, add: Add) -> None:
    async def work() -> None:
        async with hub.transaction_async():
            await add.defer_async(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(hub, work())

    assert stored(hub) == []


def test_a_sync_defer_in_an_async_transaction_is_refused(hub: Hub, add: Add) -> None:
    async def work() -> None:
        async with hub.transaction_async():
            add.defer(1)

    with pytest.raises(AmbiguousTransaction, match="defer_async"):
        run(hub, work())


def test_a_bound_sessionmaker_is_seen(hub: Hub, add: Add) -> None:
    maker = sessionmaker(hub.engine)
    hub.bind(maker)

    with maker() as session:
        session.execute(text("SELECT 1"))
        add.defer(1)
        session.rollback()

    assert stored(hub) == []


def test_a_bound_scoped_session_is_seen(hub: Hub, add: Add) -> None:
    registry = scoped_session(sessionmaker(hub.engine))
    hub.bind(registry)

    registry.execute(text("SELECT 1"))
    add.defer(1)
    registry.rollback()
    registry.remove()

    assert stored(hub) == []


def test_a_bound_async_sessionmaker_is_seen(hub: Hub, add: Add) -> None:
    async def work() -> None:
        engine = create_async_engine(driver(hub, "asyncpg"))
        maker = async_sessionmaker(engine)
        hub.bind(maker)
        async with maker() as session:
            await session.execute(text("SELECT 1"))
            await add.defer_async(1)
            await session.rollback()
        await engine.dispose()

    run(hub, work())

    assert stored(hub) == []


def test_another_sessionmaker_stays_unwatched(hub: Hub, add: Add) -> None:
    hub.bind(sessionmaker(hub.engine))

    with sessionmaker(hub.engine)() as session:
        session.execute(text("SELECT 1"))
        add.defer(1)

    assert len(stored(hub)) == 1


def run(hub: Hub, work: Coroutine[Any, Any, Any]) -> Any:
    """asyncio.run, with the hub's pool of that loop closed at its end."""

    async def whole() -> Any:
        try:
            return await work
        finally:
            await hub.close_async()

    return asyncio.run(whole())


def in_a_thread(function: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.to_thread(function))


def test_a_transaction_of_another_thread_is_not_guessed_at(hub: Hub, add: Add) -> None:
    with (
        pytest.raises(AmbiguousTransaction, match="pass session="),
        hub.transaction(),
    ):
        in_a_thread(lambda: add.defer(1))

    assert stored(hub) == []


def test_a_gathered_child_does_not_join_its_parents_transaction(hub: Hub, add: Add) -> None:
    async def work() -> None:
        async with hub.transaction_async():
            await asyncio.gather(add.defer_async(1))

    with pytest.raises(AmbiguousTransaction, match="pass session="):
        run(hub, work())

    assert stored(hub) == []


def test_a_job_may_commit_by_itself_beside_an_open_transaction(hub: Hub, add: Add) -> None:
    with pytest.raises(ZeroDivisionError), hub.transaction():
        add.options(autocommit=True).defer(1)
        raise ZeroDivisionError

    assert len(stored(hub)) == 1


def test_two_open_transactions_are_not_guessed_between(hub: Hub, add: Add) -> None:
    with (
        hub.transaction(),
        hub.transaction() as second,
        pytest.raises(AmbiguousTransaction, match="2 transactions"),
    ):
        add.options(session=second).defer(1)
        add.defer(2)


def test_a_session_of_another_database_is_refused_before_any_sql(
    hub: Hub, add: Add, empty_database: str
) -> None:
    engine = create_engine(db.address(empty_database))

    with Session(engine) as session, pytest.raises(OtherDatabase, match="TASKHUB_DATABASE_ALIASES"):
        add.options(session=session).defer(1)
    engine.dispose()


def test_a_session_of_another_kind_of_database_is_refused(hub: Hub, add: Add) -> None:
    engine = create_engine("sqlite://")

    with Session(engine) as session, pytest.raises(OtherDatabase, match="sqlite"):
        add.options(session=session).defer(1)
    engine.dispose()


def test_many_are_deferred_in_order_and_all_or_none(hub: Hub, add: Add) -> None:
    jobs = add.defer_many({"a": n} for n in range(2_500))
    with pytest.raises(TypeError, match="item 1: "):
        add.defer_many([{"a": 1}, {"c": 2}])

    rows = stored(hub)
    assert [row["id"] for row in rows] == [job.id for job in jobs]
    assert [row["args"]["a"] for row in rows] == list(range(2_500))


def test_options_reach_the_row(hub: Hub, add: Add) -> None:
    add.options(queue="other", priority=7, lock="sum:{a}:{b}", delay=60).defer(3)

    [row] = stored(hub)
    assert (row["queue_name"], row["priority"], row["lock"]) == ("other", 7, "sum:3:1")
    assert row["scheduled_at"] is not None


def test_an_unknown_option_is_refused(add: Add) -> None:
    with pytest.raises(TypeError, match="got countdown"):
        add.options(countdown=3)  # type: ignore[call-arg]  # the mistake under test
