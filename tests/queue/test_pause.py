"""Pause and resume: nothing of a queue, a task or a key starts, and claims beside it cost the same."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.waiting import until

from taskhub import Hub, Status


def test_a_paused_queue_starts_nothing_until_it_is_resumed(hub: Hub) -> None:
    @hub.task(queue="mail")
    async def send() -> None: ...

    @hub.task(queue="other")
    async def other() -> None: ...

    hub.pause(queue="mail", reason="the provider is down")
    paused, free = send.defer(), other.defer()
    hub.run_worker(wait=False)
    assert (paused.status(), free.status()) == (Status.TODO, Status.SUCCEEDED)
    [rule] = hub.limits()
    assert (rule.name, rule.reason, rule.paused_until) == (
        "queue:mail", "the provider is down", None,
    )  # fmt: skip

    assert hub.resume(queue="mail")
    hub.run_worker(wait=False)

    assert paused.status() is Status.SUCCEEDED
    assert hub.limits() == []
    assert not hub.resume(queue="mail")


@pytest.mark.parametrize("what", [{"task": "send"}, {"key": "mail"}])
def test_a_paused_task_or_key_lets_the_others_of_its_queue_pass(
    hub: Hub, what: dict[str, Any]
) -> None:
    @hub.task(name="send", limit="mail", at_most=2)
    async def send() -> None: ...

    @hub.task(name="other")
    async def other() -> None: ...

    first = [send.defer() for _ in range(5)]
    hub.pause(**what)
    last = other.defer()
    hub.run_worker(wait=False)
    assert {job.status() for job in first} == {Status.TODO}
    assert last.status() is Status.SUCCEEDED

    hub.resume(**what)
    for _ in range(3):
        hub.run_worker(wait=False)

    assert {job.status() for job in first} == {Status.SUCCEEDED}


def test_a_burst_ends_with_the_jobs_behind_many_of_a_paused_task_done(hub: Hub) -> None:
    @hub.task(name="paused")
    async def paused() -> None: ...

    @hub.task(name="free")
    async def free() -> None: ...

    hub.pause(task="paused")
    paused.defer_many([{}] * 5000)
    job = free.defer()
    hub.run_worker(wait=False)

    assert job.status() is Status.SUCCEEDED
    assert count(hub, "gate = 5") == 5000
    hub.resume(task="paused")
    hub.run_worker(wait=False)
    assert count(hub, "true") == 0


def count(hub: Hub, condition: str) -> int:
    query = f"SELECT count(*) FROM taskhub.procrastinate_jobs WHERE {condition}"
    with hub.engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


@pytest.mark.parametrize("what", [{"queue": "mail"}, {"task": "send"}, {"key": "k"}])
def test_a_pause_ends_by_itself(hub: Hub, what: dict[str, Any]) -> None:
    @hub.task(name="send", queue="mail", limit="k", at_most=1)
    async def send() -> None: ...

    hub.pause(**what, until=timedelta(seconds=1))
    job = send.defer()
    hub.run_worker(wait=False)
    assert job.status() is Status.TODO

    def is_done() -> bool:
        hub.run_worker(wait=False)
        return job.status() is Status.SUCCEEDED

    until(is_done, "the end of the pause")
    assert hub.limits() == []


def test_an_idle_worker_goes_on_when_the_pause_is_over(hub: Hub) -> None:
    seen: list[Any] = []

    @hub.task(name="send")
    async def send() -> None:
        seen.append(datetime.now(UTC))
        worker.stop()

    end = datetime.now(UTC) + timedelta(seconds=1)
    hub.pause(task="send", until=end)
    send.defer()
    worker = hub.worker()
    asyncio.run(worker.run())

    assert seen[0] >= end


def test_a_pause_keeps_the_limit_and_the_limit_the_pause(hub: Hub) -> None:
    hub.limit("queue:mail", at_most=2)
    hub.pause(queue="mail", reason="why")
    hub.limit("queue:mail", at_most=3)
    hub.unlimit("queue:mail")
    assert [(r.at_most, r.reason) for r in hub.limits()] == [(None, "why")]
    hub.limit("queue:mail", at_most=4)
    hub.resume(queue="mail")

    assert [(r.at_most, r.paused_at) for r in hub.limits()] == [(4, None)]


@pytest.mark.parametrize("what", [{}, {"queue": "a", "task": "b"}])
def test_exactly_one_thing_is_paused(hub: Hub, what: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="give one of queue, task and key"):
        hub.pause(**what)


def test_a_job_that_is_set_aside_is_cancelled_like_any_other(hub: Hub) -> None:
    @hub.task(name="send")
    async def send() -> None: ...

    hub.pause(task="send")
    job = send.defer()
    hub.run_worker(wait=False)
    assert count(hub, "gate = 5") == 1

    assert job.cancel(reason="no")
    assert job.status() is Status.CANCELLED
