"""What holds a key back when its provider is in trouble: feedback from 429s, and breakers."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from tests.waiting import until

from taskhub import Backoff, Breaker, Context, Fail, Hub, Retry, Snooze, Status, Throttled
from taskhub.queue import Job, Limit


def run(hub: Hub, statement: str, **parameters: Any) -> Any:
    with hub.engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        return result.scalar() if result.returns_rows else None


def limit(hub: Hub) -> Limit:
    [found] = hub.limits()
    return found


def burst(hub: Hub, concurrency: int = 8) -> None:
    asyncio.run(hub.worker(wait=False, concurrency=concurrency).run())


def wait_is_over(hub: Hub) -> None:
    """What waits for a time need not wait for it."""
    run(hub, "UPDATE taskhub.procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")


def is_done(hub: Hub, jobs: list[Job[Any]]) -> bool:
    burst(hub)
    return all(job.status() is Status.SUCCEEDED for job in jobs)


def outcomes(job: Job[Any]) -> list[str]:
    return [attempt.outcome for attempt in job.attempts()]


# Feedback


def test_a_429_uses_no_attempt_and_halves_the_number_of_its_key(hub: Hub) -> None:
    @hub.task(limit="api")
    async def call(ctx: Context) -> None:
        if ctx.claim == 1:
            raise Throttled(3600)

    hub.limit("api", at_most=40, feedback=True)
    job = call.defer()
    burst(hub)
    assert (limit(hub).at_most, limit(hub).slots) == (40, 20)
    assert job.status() is Status.TODO
    wait_is_over(hub)
    burst(hub)

    assert [(run.outcome, run.attempt) for run in job.attempts()] == [
        ("snoozed", 1),
        ("succeeded", 1),
    ]


def test_429s_of_one_wave_halve_once_and_those_of_the_next_one_again(hub: Hub) -> None:
    @hub.task(limit="api")
    async def call() -> None:
        raise Throttled(3600)

    hub.limit("api", at_most=40, feedback=True)
    for _ in range(8):
        call.defer()
    burst(hub)
    assert limit(hub).slots == 20
    # Where eight have five slots, the last three are a wave of their own.
    run(hub, "DELETE FROM taskhub.procrastinate_jobs WHERE id > 1")
    for slots in (10, 5, 2, 1, 1):
        wait_is_over(hub)
        burst(hub)
        assert limit(hub).slots == slots


def test_a_halved_number_holds_and_successes_raise_it_to_where_it_was(hub: Hub) -> None:
    now = most = 0

    @hub.task(limit="api")
    async def call(is_throttled: bool) -> None:
        nonlocal now, most
        if is_throttled:
            raise Throttled(3600)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    hub.limit("api", at_most=4, feedback=True)
    call.defer(True)
    burst(hub)
    assert limit(hub).slots == 2
    jobs = [call.defer(False) for _ in range(2)]
    for _ in range(2):
        burst(hub)
    assert most == 2
    assert limit(hub).slots == 3
    jobs += [call.defer(False) for _ in range(30)]
    until(lambda: is_done(hub, jobs), "the rest")

    assert limit(hub).slots is None
    assert most == 4


def test_a_task_declares_feedback_for_its_own_number(hub: Hub) -> None:
    @hub.task(limit="api", at_most=8, feedback=True)
    async def call() -> None:
        raise Throttled(3600)

    @hub.task(limit="other", at_most=8)
    async def deaf() -> None:
        raise Throttled(3600)

    call.defer()
    deaf.defer()
    burst(hub)

    assert run(hub, "SELECT array_agg((name, slots)::text) FROM taskhub.limit_states") == [
        "(api,4)"
    ]


def test_a_transactional_success_counts_and_frees_its_slot(hub: Hub) -> None:
    @hub.task(limit="api")
    async def throttle() -> None:
        raise Throttled(3600)

    @hub.task(limit="api", transactional=True)
    def call(session: Session) -> None:
        session.execute(text("SELECT 1"))

    hub.limit("api", at_most=2, feedback=True)
    throttle.defer()
    burst(hub)
    assert limit(hub).slots == 1
    jobs = [call.defer() for _ in range(3)]

    until(lambda: is_done(hub, jobs), "three, one after the other", seconds=8)
    assert limit(hub).slots is None


@pytest.mark.parametrize("retry_after", [-1, float("inf"), float("nan")])
def test_a_time_that_cannot_be_is_refused(retry_after: float) -> None:
    with pytest.raises(ValueError, match="retry_after must be 0 or more and finite"):
        Throttled(retry_after)


def test_feedback_needs_a_number(hub: Hub) -> None:
    with pytest.raises(TypeError, match="feedback must go with at_most"):
        hub.task(limit="api", feedback=True)(lambda: None)


# Breakers


class Provider:
    """What jobs of a key call; it is down or up."""

    def __init__(self, hub: Hub, **rule: Any) -> None:
        self.is_down = True
        self.calls = 0

        @hub.task(limit="api", retry=Backoff(max_attempts=9, first_seconds=0.001, jitter=0))
        async def call() -> None:
            self.calls += 1
            if self.is_down:
                raise ConnectionError("the provider is down")

        self.call = call
        hub.limit("api", breaker=Breaker(failures=3, within=60, hold=30), **rule)


def hold_is_over(hub: Hub) -> None:
    run(hub, "UPDATE taskhub.limit_states SET open_until = now(), wake_at = now()")


def test_a_breaker_opens_after_its_failures_and_waiting_jobs_use_no_attempt(hub: Hub) -> None:
    provider = Provider(hub, at_most=1)
    jobs = [provider.call.defer() for _ in range(10)]
    for _ in range(5):
        wait_is_over(hub)
        burst(hub)

    assert provider.calls == 3
    found = limit(hub)
    assert (found.breaker, found.open_reason) == ("open", "ConnectionError: the provider is down")
    assert found.open_until is not None
    assert sum(len(outcomes(job)) for job in jobs) == 3


def test_jobs_that_were_ready_when_it_opened_wait(hub: Hub) -> None:
    provider = Provider(hub)
    for _ in range(20):
        provider.call.defer()
    burst(hub, concurrency=2)
    burst(hub)

    assert 3 <= provider.calls <= 5
    assert run(hub, "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 0") == 0


def test_after_its_time_one_probe_runs_and_its_success_closes_it(hub: Hub) -> None:
    provider = Provider(hub)
    jobs = [provider.call.defer() for _ in range(6)]
    burst(hub)
    calls = provider.calls
    provider.is_down = False
    hold_is_over(hub)
    assert limit(hub).breaker == "half-open"
    wait_is_over(hub)

    def is_closed() -> bool:
        burst(hub)
        return limit(hub).breaker == "closed"

    until(is_closed, "a success")
    until(lambda: is_done(hub, jobs), "the rest")
    assert provider.calls == calls + 6


def test_a_probe_that_fails_opens_it_for_longer(hub: Hub) -> None:
    provider = Provider(hub)
    for _ in range(6):
        provider.call.defer()
    burst(hub)
    seconds = []
    for _ in range(6):
        calls = provider.calls
        hold_is_over(hub)
        wait_is_over(hub)
        burst(hub)
        assert provider.calls == calls + 1
        seconds.append(
            run(
                hub,
                "SELECT extract(epoch FROM open_until - opened_at)::int FROM taskhub.limit_states",
            )
        )

    assert seconds == [60, 120, 240, 300, 300, 300]


def test_what_a_task_raises_on_purpose_opens_nothing(hub: Hub) -> None:
    @hub.task(limit="api", retry=3)
    async def call(n: int) -> None:
        raise [Fail("no"), Retry(in_seconds=3600), Snooze(3600), Throttled(3600)][n % 4]

    hub.limit("api", breaker=Breaker(failures=1))
    for n in range(8):
        call.defer(n)
    burst(hub)

    assert limit(hub).breaker == "closed"


def test_failures_that_are_too_old_open_nothing(hub: Hub) -> None:
    @hub.task(limit="api")
    async def call() -> None:
        raise ConnectionError

    hub.limit("api", breaker=Breaker(failures=3, within=60))
    for _ in range(2):
        call.defer()
    burst(hub)
    run(hub, "UPDATE taskhub.limit_events SET at = at - interval '61 seconds'")
    for breaker in ("closed", "closed", "open"):
        call.defer()
        burst(hub)
        assert limit(hub).breaker == breaker


def test_resume_closes_it(hub: Hub) -> None:
    provider = Provider(hub)
    jobs = [provider.call.defer() for _ in range(6)]
    burst(hub)
    assert limit(hub).breaker == "open"
    provider.is_down = False
    assert hub.resume(key="api")
    assert not hub.resume(key="api")
    wait_is_over(hub)
    until(lambda: is_done(hub, jobs), "all")

    assert limit(hub).breaker == "closed"


def test_an_idle_worker_tries_again_when_the_time_is_over(hub: Hub) -> None:
    seen: list[int] = []

    @hub.task(limit="api", retry=Backoff(max_attempts=3, first_seconds=0.01))
    async def call() -> None:
        seen.append(1)
        if len(seen) == 1:
            raise ConnectionError
        worker.stop()

    hub.limit("api", breaker=Breaker(failures=1, hold=0.6))
    job = call.defer()
    worker = hub.worker()
    asyncio.run(worker.run())

    first, second = job.attempts()
    assert first.finished_at is not None
    assert second.started_at is not None
    assert (second.started_at - first.finished_at).total_seconds() >= 0.6


@pytest.mark.parametrize("given", [{"failures": 0}, {"within": 0}, {"hold": float("inf")}])
def test_a_breaker_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Breaker(**given)
