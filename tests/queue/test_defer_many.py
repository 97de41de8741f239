"""defer_many(): many jobs at the speed of COPY, under the rules of one."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from taskhub import Hub, Task, db
from taskhub.queue import AmbiguousTransaction, BadArgument, OtherDatabase, copy

Add = Task[..., int]
T = TypeVar("T")
MANY = 2_500


@pytest.fixture
def add(hub: Hub) -> Add:
    @hub.task(name="add", queue="sums")
    def add(a: int, b: int = 1) -> int:
        return a + b

    return add


@pytest.fixture
def say(hub: Hub) -> Task[..., None]:
    @hub.task(name="say")
    def say(words: str) -> None: ...

    return say


@pytest.fixture
def statements(hub: Hub) -> Callable[[], set[str]]:
    """The first words of the statements that inserted jobs."""
    with hub.engine.begin() as connection:
        connection.execute(text("CREATE TABLE public.seen (word text)"))
        connection.execute(
            text("""
                CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    INSERT INTO public.seen
                    VALUES (substring(current_query() FROM '(?n)^(COPY|INSERT) '));
                    RETURN NULL;
                END $$
            """)
        )
        connection.execute(
            text("""
                CREATE TRIGGER note AFTER INSERT ON taskhub.procrastinate_jobs
                EXECUTE FUNCTION public.note()
            """)
        )
    return lambda: {row["word"] for row in rows(hub, "SELECT word FROM public.seen")}


def rows(hub: Hub, query: str) -> list[dict[str, Any]]:
    with hub.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def stored(hub: Hub) -> list[dict[str, Any]]:
    return rows(hub, "SELECT * FROM taskhub.procrastinate_jobs ORDER BY id")


def items(count: int = MANY) -> Iterator[dict[str, int]]:
    return ({"a": n} for n in range(count))


def run(hub: Hub, work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, with the hub's pool of that loop closed at its end."""

    async def whole() -> T:
        try:
            return await work
        finally:
            await hub.close_async()

    return asyncio.run(whole())


def all_in_order(hub: Hub, ids: list[int]) -> bool:
    """Whether exactly these jobs are stored, each with the arguments of its place."""
    found = [(row["id"], row["args"]["a"]) for row in stored(hub)]
    return found == list(zip(ids, range(len(ids)), strict=True))


# On every kind of connection, twice: rolled back, then kept.


def by_the_hub(hub: Hub, add: Add) -> list[int]:
    with pytest.raises(ZeroDivisionError), hub.transaction():
        add.defer_many(items())
        raise ZeroDivisionError
    return [job.id for job in add.defer_many(items())]


def by_a_session(driver: str) -> Callable[[Hub, Add], list[int]]:
    def work(hub: Hub, add: Add) -> list[int]:
        engine = create_engine(hub.url.set(drivername=f"postgresql+{driver}"))
        with Session(engine) as session:
            add.options(session=session).defer_many(items())
            session.rollback()
            jobs = add.options(session=session).defer_many(items())
            session.commit()
        engine.dispose()
        return [job.id for job in jobs]

    return work


def by_an_async_session(driver: str) -> Callable[[Hub, Add], list[int]]:
    async def work(hub: Hub, add: Add) -> list[int]:
        engine = create_async_engine(hub.url.set(drivername=f"postgresql+{driver}"))
        async with AsyncSession(engine) as session:
            await add.options(session=session).defer_many_async(items())
            await session.rollback()
            jobs = await add.options(session=session).defer_many_async(items())
            await session.commit()
        await engine.dispose()
        return [job.id for job in jobs]

    return lambda hub, add: run(hub, work(hub, add))


def by_a_core_connection(hub: Hub, add: Add) -> list[int]:
    with hub.engine.connect() as connection:
        add.options(session=connection).defer_many(items())
        connection.rollback()
        jobs = add.options(session=connection).defer_many(items())
        connection.commit()
    return [job.id for job in jobs]


def by_psycopg(hub: Hub, add: Add) -> list[int]:
    # As an application may have it: rows as dicts, parameters as $1.
    with psycopg.connect(db.conninfo(hub.url), row_factory=dict_row) as connection:
        connection.cursor_factory = psycopg.RawCursor
        add.options(connection=connection).defer_many(items())
        connection.rollback()
        return [job.id for job in add.options(connection=connection).defer_many(items())]


def by_async_psycopg(hub: Hub, add: Add) -> list[int]:
    async def work() -> list[int]:
        async with await psycopg.AsyncConnection.connect(
            db.conninfo(hub.url), row_factory=dict_row
        ) as connection:
            await add.options(connection=connection).defer_many_async(items())
            await connection.rollback()
            jobs = await add.options(connection=connection).defer_many_async(items())
            return [job.id for job in jobs]

    return run(hub, work())


def by_the_async_hub(hub: Hub, add: Add) -> list[int]:
    async def work() -> list[int]:
        with pytest.raises(ZeroDivisionError):
            async with hub.transaction_async():
                await add.defer_many_async(items())
                raise ZeroDivisionError
        return [job.id for job in await add.defer_many_async(items())]

    return run(hub, work())


@pytest.mark.parametrize(
    ("way", "statement"),
    [
        (by_the_hub, "COPY"),
        (by_the_async_hub, "COPY"),
        (by_a_session("psycopg"), "COPY"),
        (by_a_session("psycopg2"), "INSERT"),
        (by_an_async_session("psycopg"), "COPY"),
        (by_an_async_session("asyncpg"), "INSERT"),
        (by_a_core_connection, "COPY"),
        (by_psycopg, "COPY"),
        (by_async_psycopg, "COPY"),
    ],
)
def test_many_jobs_share_the_fate_of_the_transaction_they_are_in(
    hub: Hub,
    add: Add,
    statements: Callable[[], set[str]],
    way: Callable[[Hub, Add], list[int]],
    statement: str,
) -> None:
    ids = way(hub, add)

    assert all_in_order(hub, ids)
    assert len(ids) == MANY
    assert statements() == {statement}


def test_a_savepoint_takes_copied_jobs_along(hub: Hub, add: Add) -> None:
    with hub.transaction() as session:
        kept = add.defer_many(items(300))
        savepoint = session.begin_nested()
        add.defer_many(items(300))
        savepoint.rollback()

    assert all_in_order(hub, [job.id for job in kept])


def test_a_savepoint_opened_before_anything_else_takes_copied_jobs_along(
    hub: Hub, add: Add
) -> None:
    with Session(hub.engine) as session:
        savepoint = session.begin_nested()
        add.options(session=session).defer_many(items(300))
        savepoint.rollback()
        session.commit()

    assert stored(hub) == []


def test_few_jobs_take_one_round_trip(
    hub: Hub, add: Add, statements: Callable[[], set[str]]
) -> None:
    add.defer_many(items(copy.FEWEST_JOBS - 1))

    assert statements() == {"INSERT"}


def test_no_items_are_no_jobs(hub: Hub, add: Add) -> None:
    assert add.defer_many([]) == []
    assert stored(hub) == []


def test_a_bad_item_far_down_stores_none_and_leaves_the_transaction_usable(
    hub: Hub, add: Add
) -> None:
    with hub.transaction() as session:
        with pytest.raises(BadArgument, match="item 400: a must fit 64 bits"):
            add.defer_many({"a": 2**63 if n == 400 else n} for n in range(500))
        with pytest.raises(TypeError, match="item 400: missing a required argument: 'a'"):
            add.defer_many({"b" if n == 400 else "a": n} for n in range(500))
        session.execute(text("CREATE TABLE kept (id int)"))

    assert stored(hub) == []
    assert rows(hub, "SELECT count(*) AS n FROM kept") == [{"n": 0}]


def test_text_of_any_kind_comes_back_from_a_copy(hub: Hub, say: Task[..., None]) -> None:
    odd = ["\t", "\n\r", "\\", "\\N", "\\.", '"', "\x7f", "\b\f", "数", "😀", "e\u0301", "\u2028"]
    odd += [chr(n) for n in range(1, 32)]
    texts = [f"{text_}{n}{text_}" for n in range(10) for text_ in odd]

    jobs = say.defer_many({"words": words} for words in texts)

    assert len(jobs) >= copy.FEWEST_JOBS
    assert [row["args"]["words"] for row in stored(hub)] == texts


def test_a_lock_of_any_kind_comes_back_from_a_copy(hub: Hub, say: Task[..., None]) -> None:
    words = [f"a\tb\\{n}\n数" for n in range(300)]

    say.options(lock="{words}").defer_many({"words": w} for w in words)

    assert [row["lock"] for row in stored(hub)] == words
    assert {row["gate"] for row in stored(hub)} == {2}


def test_a_connection_that_speaks_another_encoding_or_date_style_copies_the_same(
    hub: Hub, say: Task[..., None]
) -> None:
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        connection.execute("SET client_encoding = 'LATIN1'")
        connection.execute("SET datestyle = 'SQL, DMY'")
        connection.execute("SET timezone = 'Asia/Kathmandu'")
        say.options(connection=connection, delay=90).defer_many({"words": "数"} for _ in range(300))
        [(due,)] = connection.execute(
            "SELECT DISTINCT scheduled_at BETWEEN clock_timestamp() + '80 s' AND "
            "clock_timestamp() + '90 s' FROM taskhub.procrastinate_jobs"
        ).fetchall()

    assert due
    assert {row["args"]["words"] for row in stored(hub)} == {"数"}


def test_a_delay_counts_from_now_and_not_from_the_start_of_the_transaction(
    hub: Hub, add: Add
) -> None:
    with hub.transaction() as session:
        began = session.scalar(text("SELECT now()"))
        session.execute(text("SELECT pg_sleep(0.2)"))
        add.options(delay=timedelta(seconds=60)).defer_many(items(300))

    due = {row["scheduled_at"] for row in stored(hub)}
    assert len(due) == 1
    assert due.pop() >= began + timedelta(seconds=60.2)
    assert {row["gate"] for row in stored(hub)} == {1}


def test_a_date_and_a_priority_reach_every_copied_row(hub: Hub, add: Add) -> None:
    at = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)

    add.options(at=at, priority=-7).defer_many(items(300))

    assert {(row["scheduled_at"], row["priority"]) for row in stored(hub)} == {(at, -7)}


def test_jobs_with_a_queueing_lock_are_inserted_and_a_twin_is_refused(
    hub: Hub, add: Add, statements: Callable[[], set[str]]
) -> None:
    once = add.options(queueing_lock="sum:{a}")
    once.defer_many(items(300))

    with pytest.raises(IntegrityError, match="queueing_lock"):
        once.defer_many({"a": n} for n in range(299, 600))

    assert len(stored(hub)) == 300
    assert statements() == {"INSERT"}


@pytest.fixture
def no_thirteen(hub: Hub) -> None:
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                ALTER TABLE taskhub.procrastinate_jobs
                ADD CONSTRAINT no_thirteen CHECK ((args ->> 'a')::int <> 13)
            """)
        )


@pytest.mark.usefixtures("no_thirteen")
def test_a_refused_copy_raises_what_an_insert_raises_and_a_savepoint_saves_the_rest(
    hub: Hub, add: Add
) -> None:
    with hub.transaction() as session:
        kept = add.defer(1)
        with pytest.raises(IntegrityError, match="no_thirteen"), session.begin_nested():
            add.defer_many(items(300))
        with pytest.raises(IntegrityError, match="no_thirteen"), session.begin_nested():
            add.defer(13)

    assert [row["id"] for row in stored(hub)] == [kept.id]


@pytest.mark.usefixtures("no_thirteen")
def test_a_refused_copy_fails_the_transaction_as_a_refused_insert_does(hub: Hub, add: Add) -> None:
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            add.options(connection=connection).defer_many(items(300))
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")

    assert stored(hub) == []


@pytest.mark.usefixtures("no_thirteen")
def test_a_refused_copy_of_an_async_session_raises_what_an_insert_raises(
    hub: Hub, add: Add
) -> None:
    async def work() -> None:
        async with hub.transaction_async():
            await add.defer_many_async(items(300))

    with pytest.raises(IntegrityError, match="no_thirteen"):
        run(hub, work())

    assert stored(hub) == []


def test_a_backend_that_dies_is_told_as_sqlalchemy_tells_it(hub: Hub, add: Add) -> None:
    with Session(hub.engine) as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        rows(hub, f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(DBAPIError):
            add.options(session=session).defer_many(items(300))

    assert len(add.defer_many(items(300))) == 300


def test_a_pipeline_which_knows_no_copy_carries_the_jobs_too(hub: Hub, add: Add) -> None:
    with psycopg.connect(db.conninfo(hub.url)) as connection, connection.pipeline():
        jobs = add.options(connection=connection).defer_many(items(300))

    assert all_in_order(hub, [job.id for job in jobs])


def test_an_autocommit_connection_stores_all_or_none(hub: Hub, add: Add) -> None:
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        jobs = add.options(connection=connection).defer_many(items())

    assert all_in_order(hub, [job.id for job in jobs])


def test_ids_do_not_collide_with_those_of_jobs_deferred_meanwhile(hub: Hub, add: Add) -> None:
    with hub.transaction():
        first = add.defer_many(items(300))
        beside = add.options(autocommit=True).defer(1)
        second = add.defer_many(items(300))

    ids = [job.id for job in (*first, beside, *second)]
    assert ids == sorted(set(ids))
    assert [row["id"] for row in stored(hub)] == ids


def test_a_transaction_that_cannot_be_told_is_refused_before_any_row_is_sent(
    hub: Hub, add: Add, empty_database: str
) -> None:
    other = create_engine(db.address(empty_database))

    with hub.transaction(), hub.transaction(), pytest.raises(AmbiguousTransaction):
        add.defer_many(items(300))
    with Session(other) as session, pytest.raises(OtherDatabase):
        add.options(session=session).defer_many(items(300))
    other.dispose()

    assert stored(hub) == []


def test_every_copied_job_is_told_to_the_hooks(hub: Hub, add: Add) -> None:
    told: list[tuple[int, str]] = []
    hub.on("job.deferred", lambda event: told.append((event.job_id, event.queue)))

    jobs = add.options(queue="other").defer_many(items(300))

    assert told == [(job.id, "other") for job in jobs]


def test_copied_jobs_run(hub: Hub, add: Add) -> None:
    jobs = add.defer_many(items(300))

    hub.run_worker(wait=False)

    assert [job.result(timeout=0) for job in jobs[::100]] == [1, 101, 201]
