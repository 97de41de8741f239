"""Transactional tasks: what they write and the end of their job are one commit."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskhub import Context, Hub, db
from taskhub.queue.blueprint import Blueprint
from taskhub.queue.context import running
from taskhub.queue.worker import Worker


@pytest.fixture(autouse=True)
def orders(hub: Hub) -> None:
    with hub.transaction() as session:
        session.execute(text("CREATE TABLE orders (id integer)"))


def settles(session: Session) -> None: ...


def count(hub: Hub) -> int:
    with hub.transaction() as session:
        return int(session.scalar(text("SELECT count(*) FROM orders")) or 0)


def write(session: Session, order_id: int) -> None:
    session.execute(text("INSERT INTO orders VALUES (:id)"), {"id": order_id})


def test_its_writes_its_jobs_its_result_and_its_end_are_one_commit(hub: Hub) -> None:
    @hub.task(queue="later")
    def follow(order_id: int) -> None: ...

    @hub.task(transactional=True, lock="order")
    def settle(ctx: Context, session: Session, order_id: int) -> dict[str, int]:
        write(session, order_id)
        follow.defer(order_id)
        ctx.log.warning("settled")
        return {"order": order_id}

    @hub.task(transactional=True)
    async def settle_async(session: AsyncSession, order_id: int) -> int:
        await session.execute(text("INSERT INTO orders VALUES (:id)"), {"id": order_id})
        await follow.defer_async(order_id)
        return order_id

    jobs = [settle.defer(order_id=7), settle.defer(8), settle_async.defer(9)]
    told: list[str] = []
    hub.on("job.succeeded", lambda e: told.append(e.task_name))

    hub.run_worker(queues=["default"], wait=False)

    assert [job.result() for job in jobs] == [{"order": 7}, {"order": 8}, 9]
    assert count(hub) == 3
    assert len(told) == 3
    assert "settled" in str(jobs[0].attempts()[0].log)
    with hub.transaction() as session:
        waiting = session.scalar(
            text("SELECT count(*) FROM taskhub.procrastinate_jobs WHERE queue_name = 'later'")
        )
    assert waiting == 3


def test_an_exception_takes_everything_back_and_the_job_is_retried(hub: Hub) -> None:
    @hub.task(queue="later")
    def follow() -> None: ...

    @hub.task(transactional=True, retry=1)
    def settle(ctx: Context, session: Session) -> None:
        write(session, ctx.attempt)
        follow.defer()
        if ctx.attempt == 1:
            raise ValueError("not yet")

    job = settle.defer()

    hub.run_worker(queues=["default"], wait=False)

    assert [run.outcome for run in job.attempts()] == ["retried", "succeeded"]
    with hub.transaction() as session:
        assert session.scalars(text("SELECT id FROM orders")).all() == [2]
        assert session.scalar(text("SELECT count(*) FROM taskhub.procrastinate_jobs")) == 1


def test_it_must_not_end_its_transaction_itself(hub: Hub) -> None:
    @hub.task(transactional=True)
    def commits(session: Session) -> None:
        write(session, 1)
        session.commit()

    @hub.task(transactional=True)
    def rolls_back(session: Session) -> None:
        with session.begin_nested() as savepoint:
            write(session, 2)
            savepoint.rollback()
        session.rollback()

    jobs = [commits.defer(), rolls_back.defer()]

    hub.run_worker(wait=False)

    messages = [job.attempts()[0].error_message for job in jobs]
    assert ["must not commit" in str(messages[0]), "must not roll back" in str(messages[1])] == [
        True
    ] * 2
    assert count(hub) == 0


def test_whoever_lost_the_claim_commits_nothing(hub: Hub) -> None:
    @hub.task(transactional=True)
    def settle(ctx: Context, session: Session) -> None:
        write(session, ctx.claim)
        if ctx.claim == 1:
            take_away(hub, ctx.job_id)

    job = settle.defer()

    hub.run_worker(wait=False)

    with hub.transaction() as session:
        assert session.scalars(text("SELECT id FROM orders")).all() == [2]
    assert job.status().value == "succeeded"


def take_away(hub: Hub, job_id: int) -> None:
    with psycopg.connect(db.conninfo(hub.url)) as connection:
        connection.execute(
            "UPDATE taskhub.procrastinate_jobs SET status = 'todo', worker_id = NULL WHERE id = %s",
            (job_id,),
        )


class Cutter:
    """Ends the connection of a job's nth statement, COMMIT counted: before it is sent, or when it is done.

    Of a commit that is done nobody here hears: its outcome is unknown.
    """

    def __init__(self, hub: Hub, nth: int, *, when_done: bool) -> None:
        self.hub, self.nth, self.when_done = hub, nth, when_done
        self.seen: list[str] = []
        self._commit = hub.engine.dialect.do_commit
        name = "after_cursor_execute" if when_done else "before_cursor_execute"
        event.listen(hub.engine, name, self.execute)
        hub.engine.dialect.do_commit = self.commit  # type: ignore[assignment,method-assign]

    def execute(self, connection: Any, _: Any, statement: str, *__: Any) -> None:
        if self.is_the_one(statement):
            self.end(connection.connection.driver_connection)

    def commit(self, connection: Any) -> None:
        is_it = self.is_the_one("COMMIT")
        if is_it and not self.when_done:
            self.end(connection)
        self._commit(connection)
        if is_it and self.when_done:
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def is_the_one(self, statement: str) -> bool:
        if running.get() is None:
            return False
        self.seen.append(statement)
        return len(self.seen) == self.nth + 1

    def end(self, connection: psycopg.Connection[Any]) -> None:
        with psycopg.connect(db.conninfo(self.hub.url), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


@pytest.mark.parametrize("when_done", [False, True])
@pytest.mark.parametrize("nth", range(5))
def test_a_connection_cut_at_any_statement_leaves_the_effects_once(
    hub: Hub, nth: int, when_done: bool
) -> None:
    ran: list[int] = []

    @hub.task(transactional=True, retry=3)
    def settle(ctx: Context, session: Session) -> None:
        ran.append(ctx.claim)
        write(session, 1)
        write(session, 2)

    job = settle.defer()
    cutter = Cutter(hub, nth, when_done=when_done)

    asyncio.run(Worker(hub, wait=False).run())

    # The claim's check, two writes, the job's end, the commit.
    is_over = nth == 4 and when_done
    assert (cutter.seen[nth] == "COMMIT") == (nth == 4)
    assert job.status().value == "succeeded"
    assert [run.outcome for run in job.attempts()] == ["retried"] * (not is_over) + ["succeeded"]
    assert len(ran) == (1 if is_over or (nth == 0 and not when_done) else 2)
    assert count(hub) == 2


@pytest.mark.parametrize("is_in_time", [False, True])
def test_a_cancel_during_the_commit_counts_if_it_came_in_time(hub: Hub, is_in_time: bool) -> None:
    told: list[str] = []

    @hub.task(transactional=True)
    async def settle(session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO orders VALUES (1)"))
        dialect = hub.async_engine.dialect
        commit = dialect.do_commit

        def cancelled(connection: Any) -> None:
            if not is_in_time:
                commit(connection)
            dialect.do_commit = commit  # type: ignore[method-assign]
            raise asyncio.CancelledError

        dialect.do_commit = cancelled  # type: ignore[assignment,method-assign]

    hub.on("job.succeeded", lambda e: told.append(e.name))
    hub.on("job.cancelled", lambda e: told.append(e.name))
    job = settle.defer()

    hub.run_worker(wait=False)

    expected = (
        ("aborted", ["job.cancelled"], 0) if is_in_time else ("succeeded", ["job.succeeded"], 1)
    )
    assert (job.status().value, told, count(hub)) == expected


def test_a_late_one_is_taken_back_and_one_that_has_committed_is_not(hub: Hub) -> None:
    @hub.task(transactional=True, timeout=0.2)
    def late(ctx: Context, session: Session) -> None:
        write(session, 1)
        while not ctx.cancelled:
            session.execute(text("SELECT pg_sleep(0.02)"))

    @hub.task(transactional=True, timeout=0.2)
    def commits_long(session: Session) -> None:
        session.execute(
            text(
                "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END'"
            )
        )
        session.execute(
            text(
                "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION wait()"
            )
        )
        write(session, 2)

    told: list[int] = []
    hub.on("job.succeeded", lambda e: told.append(e.job_id))
    jobs = [late.defer(), commits_long.defer()]

    hub.run_worker(concurrency=1, wait=False)

    assert [job.status().value for job in jobs] == ["failed", "succeeded"]
    assert told == [jobs[1].id]
    assert jobs[0].attempts()[0].error_class.endswith("TaskTimeout")  # type: ignore[union-attr]
    with hub.transaction() as session:
        assert session.scalars(text("SELECT id FROM orders")).all() == [2]


def test_a_child_process_has_no_session_to_give() -> None:
    with pytest.raises(TypeError, match="no session of the worker's"):
        Blueprint().task(transactional=True, executor="process")(settles)


def test_what_asks_for_a_session_says_so(hub: Hub) -> None:
    with pytest.raises(TypeError, match="transactional=True"):

        @hub.task
        def plain(_: Session) -> None: ...

    with pytest.raises(TypeError, match="must take a Session"):

        @hub.task(transactional=True)
        def without(order_id: int) -> None: ...

    with pytest.raises(TypeError, match="must take a AsyncSession"):

        @hub.task(transactional=True)
        async def mixed(_: Session) -> None: ...


def test_its_lock_goes_on_to_the_next_job(hub: Hub) -> None:
    @hub.task(transactional=True, lock="one")
    def settle(session: Session, order_id: int) -> None:
        write(session, order_id)

    for n in range(5):
        settle.defer(n)

    hub.run_worker(wait=False)

    with hub.transaction() as session:
        assert session.scalars(text("SELECT id FROM orders")).all() == list(range(5))


def test_its_slot_of_a_limit_goes_on_to_the_next_job_at_once(hub: Hub) -> None:
    done: list[int] = []

    @hub.task(name="settle", transactional=True, limit="bank", at_most=1)
    def settle(session: Session, n: int) -> None:
        done.append(n)

    for n in range(5):
        settle.defer(n)
    asyncio.run(hub.worker(wait=False).run())

    assert done == [0, 1, 2, 3, 4]
