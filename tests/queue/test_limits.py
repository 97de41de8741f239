"""Limits: how many jobs run at once in the whole fleet, whatever comes back and whoever changes them."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Backoff, Hub, Snooze, Status
from taskhub.queue import Limit

OVERLAP = """
SELECT coalesce(max(n), 0) FROM (
    SELECT (
        SELECT count(*) FROM spans AS b
        WHERE b.name = a.name AND b.entered_at <= a.entered_at AND b.left_at > a.entered_at
    ) AS n
    FROM spans AS a WHERE a.name = :name
) AS overlaps
"""
ENTER = "INSERT INTO spans (job_id, name, entered_at) VALUES (:job, :name, clock_timestamp())"
LEAVE = "UPDATE spans SET left_at = clock_timestamp() WHERE job_id = :job"


def run(hub: Hub, statement: str, **parameters: Any) -> Any:
    with hub.engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        return result.scalar() if result.returns_rows else None


class Counted:
    """How many run at once in this process, by name."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    async def span(self, name: str, seconds: float = 0.02) -> None:
        self.now[name] = self.now.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.now[name])
        await asyncio.sleep(seconds)
        self.now[name] -= 1


async def fleet(hub: Hub, workers: int = 3) -> None:
    """Three workers with registrations of their own, until nothing is ready."""
    await asyncio.gather(*(hub.worker(wait=False, concurrency=6).run() for _ in range(workers)))


def finish(hub: Hub, *jobs: Any) -> None:
    """Work until none of these waits; a burst may end while another worker holds what is next."""
    for _ in range(50):
        asyncio.run(fleet(hub))
        if all(job.status() is Status.SUCCEEDED for job in jobs):
            return
    raise AssertionError([job.status() for job in jobs])


def test_a_key_never_has_more_running_jobs_than_its_limit(hub: Hub) -> None:
    counted = Counted()

    @hub.task(limit="tenant:{tenant}", at_most=3)
    async def work(tenant: int) -> None:
        await counted.span(str(tenant))

    jobs = [work.defer(n % 2) for n in range(60)]
    finish(hub, *jobs)

    assert counted.most == {"0": 3, "1": 3}


@pytest.mark.parametrize("name", ["queue:mail", "task:send"])
def test_a_queue_and_a_task_never_have_more_than_their_limit(hub: Hub, name: str) -> None:
    counted = Counted()

    @hub.task(name="send", queue="mail")
    async def send() -> None:
        await counted.span("limited")

    @hub.task(name="other", queue="other")
    async def other() -> None:
        await counted.span("free")

    hub.limit(name, at_most=2)
    jobs = [task.defer() for _ in range(20) for task in (send, other)]
    finish(hub, *jobs)

    assert counted.most["limited"] == 2
    assert counted.most["free"] > 2


def test_a_task_at_its_limit_does_not_hold_up_others_of_its_queue(hub: Hub) -> None:
    counted = Counted()

    @hub.task(name="slow")
    async def slow() -> None:
        await counted.span("slow", 0.3)

    @hub.task(name="quick")
    async def quick() -> None:
        assert counted.now["slow"] == 1

    hub.limit("task:slow", at_most=1)
    slow_jobs = [slow.defer() for _ in range(3)]
    quick_jobs = [quick.defer() for _ in range(10)]
    finish(hub, *slow_jobs, *quick_jobs)

    assert counted.most == {"slow": 1}


def test_jobs_of_a_key_run_by_priority_then_in_order(hub: Hub) -> None:
    order: list[int] = []

    @hub.task(limit="one", at_most=1)
    async def note(n: int) -> None:
        order.append(n)

    jobs = [note.options(priority=n // 2).defer(n) for n in range(4)]
    finish(hub, *jobs)

    assert order == [2, 3, 0, 1]


def test_a_snoozed_or_retried_job_gives_its_slot_up_and_takes_one_again(hub: Hub) -> None:
    counted = Counted()
    seen: set[int] = set()

    @hub.task(limit="one", at_most=1, retry=Backoff(max_attempts=3, first_seconds=0.01))
    async def returns(n: int) -> None:
        await counted.span("one")
        if n not in seen:
            seen.add(n)
            raise Snooze(0.05) if n % 2 else ValueError

    jobs = [returns.defer(n) for n in range(6)]
    finish(hub, *jobs)

    assert counted.most == {"one": 1}
    assert all(len(job.attempts()) == 2 for job in jobs)


def test_a_future_job_takes_no_slot_before_its_time(hub: Hub) -> None:
    @hub.task(limit="one", at_most=1)
    async def nothing() -> None: ...

    later = nothing.options(delay=3600).defer()
    now = nothing.defer()
    finish(hub, now)

    assert later.status() is Status.TODO


def test_a_cancelled_job_that_was_ready_frees_its_slot(hub: Hub) -> None:
    @hub.task(limit="one", at_most=1, queue="here")
    async def nothing() -> None: ...

    first, second = nothing.defer(), nothing.defer()
    hub.run_worker(queues=["elsewhere"], wait=False)
    assert gates(hub) == [0, 3]
    first.cancel()
    finish(hub, second)

    assert first.status() is Status.CANCELLED


def gates(hub: Hub) -> list[int]:
    with hub.engine.connect() as connection:
        rows = connection.scalars(text("SELECT gate FROM taskhub.procrastinate_jobs ORDER BY id"))
        return list(rows)


def test_a_job_behind_its_lock_holds_no_slot(hub: Hub) -> None:
    @hub.task(limit="two", at_most=2, queue="here")
    async def nothing() -> None: ...

    for lock in ("a", "a", "b"):
        nothing.options(lock=lock).defer()
    for _ in range(3):
        hub.run_worker(queues=["elsewhere"], wait=False)

    assert gates(hub) == [0, 2, 0]


def test_jobs_with_lock_and_limit_keep_to_both(hub: Hub) -> None:
    counted = Counted()

    @hub.task(lock="lock:{lock}", limit="all", at_most=2)
    async def work(lock: int) -> None:
        await asyncio.gather(counted.span(f"lock:{lock}"), counted.span("all"))

    jobs = [work.defer(n % 4) for n in range(24)]
    finish(hub, *jobs)

    assert counted.most["all"] == 2
    assert {counted.most[f"lock:{n}"] for n in range(4)} == {1}


def test_a_limit_is_raised_and_lowered_while_jobs_wait(hub: Hub) -> None:
    counted = Counted()

    @hub.task(limit="key", at_most=1)
    async def work() -> None:
        await counted.span("key")

    hub.limit("key", at_most=4)
    finish(hub, *[work.defer() for _ in range(20)])
    assert counted.most.pop("key") == 4
    hub.limit("key", at_most=2)
    finish(hub, *[work.defer() for _ in range(20)])
    assert counted.most.pop("key") == 2
    assert hub.unlimit("key")
    assert not hub.unlimit("key")
    finish(hub, *[work.defer() for _ in range(5)])

    assert counted.most == {"key": 1}


def test_lowering_sends_ready_jobs_back_and_lets_running_ones_be(hub: Hub) -> None:
    @hub.task(limit="key", at_most=4, queue="here")
    async def nothing() -> None: ...

    for _ in range(4):
        nothing.defer()
    hub.run_worker(queues=["elsewhere"], wait=False)
    run(hub, "UPDATE taskhub.procrastinate_jobs SET status = 'doing' WHERE id IN (3, 4)")
    hub.limit("key", at_most=1)

    assert gates(hub) == [3, 3, 0, 0]
    assert hub.limits() == [Limit("key", 1, 2, None, None, None)]


def test_many_jobs_at_once_carry_their_limit(hub: Hub) -> None:
    @hub.task(limit="tenant:{tenant}", at_most=3)
    async def work(tenant: int) -> None: ...

    work.defer_many([{"tenant": n % 3} for n in range(600)])

    keys = run(
        hub,
        "SELECT count(*) FROM taskhub.procrastinate_jobs "
        "WHERE gate = 3 AND at_most = 3 AND limit_key = 'tenant:' || (args ->> 'tenant')",
    )
    assert keys == 600


@pytest.mark.parametrize("declared", [{"tokens": 5}, {"at_most": 1}])
def test_a_number_needs_its_limit(hub: Hub, declared: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="give limit and at_most together"):
        hub.task(**declared)(lambda: None)


@pytest.mark.parametrize("at_most", [0, -1, True, 1.5, 2**31])
def test_a_number_that_can_be_none_is_refused(hub: Hub, at_most: Any) -> None:
    with pytest.raises(ValueError, match="at_most must be a whole number"):
        hub.limit("queue:mail", at_most=at_most)


def test_a_key_that_reads_as_a_queue_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="must not begin with queue: or task:"):
        hub.task(limit="queue:{name}", at_most=1)(lambda name: None)
