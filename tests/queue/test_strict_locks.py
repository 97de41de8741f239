"""Locks that keep the order of the ids, and those that do not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import text

from taskhub import Hub, Retry, Snooze, Status
from taskhub.queue.task import Task

Note = Task[[int], None]


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def let_it_be_due(hub: Hub) -> None:
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_jobs SET scheduled_at = now() - interval '1 second' "
                "WHERE status = 'todo' AND scheduled_at IS NOT NULL"
            )
        )


def noting(hub: Hub, ran: list[int], first: Callable[[], None], **options: Any) -> Note:
    """A task with the lock "a"; the first run of job 1 does what `first` does."""
    tried: list[int] = []

    async def note(n: int) -> None:
        if n == 1 and not tried:
            tried.append(n)
            first()
        ran.append(n)

    return cast(Note, hub.task(lock="a", **options)(note))


def retry() -> None:
    raise Retry(in_seconds=3600)


def snooze() -> None:
    raise Snooze(3600)


def fail() -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("first", [retry, snooze])
def test_a_job_that_waits_for_its_time_does_not_block_its_lock(
    hub: Hub, first: Callable[[], None]
) -> None:
    ran: list[int] = []
    note = noting(hub, ran, first)
    note.options(delay=3600).defer(0)
    note.defer(1)
    note.defer(2)

    work(hub)

    assert ran == [2]


@pytest.mark.parametrize("first", [retry, snooze])
def test_a_strict_job_that_waits_for_its_time_blocks_those_behind_it(
    hub: Hub, first: Callable[[], None]
) -> None:
    ran: list[int] = []
    note = noting(hub, ran, first, strict=True)
    note.defer(1)
    note.options(priority=9).defer(2)
    work(hub)
    assert ran == []

    let_it_be_due(hub)
    work(hub)

    assert ran == [1, 2]


def test_a_strict_job_for_later_blocks_those_behind_it_and_no_others(hub: Hub) -> None:
    ran: list[int] = []
    note = noting(hub, ran, snooze)
    note.options(strict=True, delay=3600).defer(0)
    note.options(strict=True).defer(2)
    note.options(strict=True, lock="b").defer(3)
    note.defer(4)

    work(hub)

    assert sorted(ran) == [3, 4]
    let_it_be_due(hub)
    work(hub)
    assert ran[2:] == [0, 2]


def test_a_strict_job_that_fails_for_good_or_is_cancelled_lets_the_next_go_on(hub: Hub) -> None:
    ran: list[int] = []
    note = noting(hub, ran, fail, strict=True)
    failed = note.defer(1)
    cancelled = note.options(delay=3600).defer(2)
    note.defer(3)
    work(hub)
    assert failed.status() is Status.FAILED
    assert ran == []

    cancelled.cancel()
    work(hub)

    assert ran == [3]


def test_a_strict_job_that_commits_late_still_goes_before_one_that_is_only_ready(hub: Hub) -> None:
    ran: list[int] = []
    note = noting(hub, ran, snooze, strict=True)
    with hub.engine.connect() as connection:
        late = note.options(session=connection, delay=3600).defer(2)
        note.defer(3)
        # A look that claims nothing: it makes the one that is committed ready.
        with hub.engine.begin() as other:
            other.execute(text("SELECT taskhub.promote_locks_v1('{a}')"))
            assert other.scalar(
                text("SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 0")
            )
        connection.commit()

    work(hub)

    assert ran == []
    late.cancel()
    work(hub)
    assert ran == [3]


def test_a_strict_first_job_that_a_transaction_holds_is_not_overtaken(hub: Hub) -> None:
    ran: list[int] = []
    note = noting(hub, ran, snooze, strict=True)
    first = note.defer(2)
    note.defer(3)
    with hub.engine.connect() as connection:
        connection.execute(
            text("SELECT FROM taskhub.procrastinate_jobs WHERE id = :id FOR UPDATE"),
            {"id": first.id},
        )
        work(hub)
        assert ran == []
        connection.rollback()
    with hub.engine.begin() as connection:
        connection.execute(text("SELECT taskhub.sweep_locks_v1('')"))
    work(hub)

    assert ran == [2, 3]


def test_many_strict_jobs_by_copy_keep_their_order(hub: Hub) -> None:
    ran: list[int] = []
    note = noting(hub, ran, snooze, strict=True)
    note.options(at=datetime.now(UTC) - timedelta(hours=1)).defer_many(
        [{"n": n} for n in range(2, 302)]
    )
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "DELETE FROM taskhub.procrastinate_jobs AS j "
                "USING (SELECT min(id) AS id FROM taskhub.procrastinate_jobs) AS first "
                "WHERE j.id > first.id + 9"
            )
        )

    work(hub)

    assert ran == list(range(2, 12))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"strict": True}, "strict must go with lock"),
        ({"strict": 1, "lock": "a"}, "strict must be True or False"),
    ],
)
def test_strict_without_a_lock_or_no_bool_is_refused(
    hub: Hub, declared: dict[str, Any], told: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        hub.task(name="refused", **declared)(lambda: None)


def test_a_lock_costs_the_same_with_many_strict_jobs_behind_it(hub: Hub) -> None:
    @hub.task(lock="a", strict=True)
    def nothing() -> None: ...

    def pages() -> int:
        look = "SELECT * FROM taskhub.promote_locks_v1('{a}')"
        with hub.engine.begin() as connection:
            connection.execute(text(look))
            rows = connection.execute(
                text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {look}")
            ).scalar()
        plan: Any = rows
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    nothing.options(delay=3600).defer()
    nothing.defer()
    alone = pages()
    with hub.engine.begin() as connection:
        for columns in ("'a', NULL", "'a', now() + interval '1 hour'"):
            connection.execute(
                text(
                    "INSERT INTO taskhub.procrastinate_jobs "
                    "(queue_name, task_name, is_strict, lock, scheduled_at) "
                    f"SELECT 'default', 't', true, {columns} FROM generate_series(1, 20000)"
                )
            )

    assert pages() <= 1.5 * alone
