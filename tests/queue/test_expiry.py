"""Jobs that never start after their time, wherever they wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Hub, Retry, Status
from taskhub.queue import JobEvent, actions
from taskhub.queue.jobs import Job


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def let_it_expire(hub: Hub, job: Job[Any]) -> None:
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_jobs SET expires_at = clock_timestamp() WHERE id = :id"
            ),
            {"id": job.id},
        )


def is_expired(job: Job[Any]) -> bool:
    last = job.attempts()[-1]
    return (
        job.status() is Status.CANCELLED
        and last.outcome == "cancelled"
        and last.error_message == "expired"
    )


@pytest.fixture
def ran(hub: Hub) -> list[int]:
    return []


@pytest.mark.parametrize(
    "options",
    [{}, {"delay": 3000}, {"lock": "a"}, {"limit": "x", "at_most": 1}, {"queue": "nobody"}],
    ids=["ready", "dated", "locked", "limited", "in a queue that nobody serves"],
)
def test_a_job_past_its_time_ends_as_cancelled_wherever_it_waits(
    hub: Hub, ran: list[int], options: dict[str, Any]
) -> None:
    heard: list[tuple[str, int]] = []
    hub.on("job.cancelled", lambda event: heard.append((event.name, event.job_id)))

    @hub.task
    async def note() -> None:
        ran.append(1)

    job = note.options(**options, expires=timedelta(hours=1)).defer()
    let_it_expire(hub, job)
    hub.run_worker(queues=["default"], wait=False)

    assert is_expired(job)
    assert ran == []
    assert heard == [("job.cancelled", job.id)]
    assert len(job.attempts()) == 1


def test_a_job_before_its_time_runs(hub: Hub, ran: list[int]) -> None:
    @hub.task(expires=3600)
    async def note() -> None:
        ran.append(1)

    jobs = [note.defer(), note.options(expires=datetime.now(UTC) + timedelta(hours=1)).defer()]
    jobs += note.defer_many([{}] * 300)
    work(hub)

    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


def test_many_at_once_by_copy_carry_their_time(hub: Hub) -> None:
    @hub.task
    async def note() -> None: ...

    note.options(expires=60).defer_many([{}] * 300)
    note.options(expires=60).defer_many([{}] * 3)

    with hub.engine.connect() as connection:
        count = connection.scalar(
            text(
                "SELECT count(*) FROM taskhub.procrastinate_jobs "
                "WHERE expires_at BETWEEN now() AND now() + interval '61 seconds'"
            )
        )
    assert count == 303


def test_a_claim_that_comes_before_the_sweep_does_not_run_it(
    hub: Hub, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_sweep(*_: object) -> None: ...

    monkeypatch.setattr("taskhub.queue.upkeep.Upkeep._expire", no_sweep)
    heard: list[str] = []
    for name in ("job.started", "job.cancelled"):
        hub.on(name, lambda event: heard.append(event.name))

    @hub.task
    async def note() -> None:
        ran.append(1)

    job = note.options(expires=60).defer()
    let_it_expire(hub, job)
    work(hub)

    assert is_expired(job)
    assert ran == []
    assert heard == ["job.cancelled"]


def test_a_job_that_was_tried_is_not_tried_again_after_its_time(hub: Hub, ran: list[int]) -> None:
    @hub.task
    async def note() -> None:
        ran.append(1)
        let_it_expire(hub, job)
        raise Retry(in_seconds=0)

    job = note.options(expires=60).defer()
    work(hub)

    assert ran == [1]
    assert is_expired(job)
    assert [a.outcome for a in job.attempts()] == ["retried", "cancelled"]


def test_an_expired_job_that_somebody_retries_by_hand_runs(hub: Hub, ran: list[int]) -> None:
    @hub.task
    async def note() -> None:
        ran.append(1)

    job = note.options(expires=60).defer()
    let_it_expire(hub, job)
    work(hub)
    [told] = actions.retry(hub, [job.id])
    work(hub)

    assert told.outcome == "retried"
    assert ran == [1]


def test_an_expired_job_lets_its_lock_go(hub: Hub, ran: list[int]) -> None:
    @hub.task(lock="a", strict=True)
    async def note(n: int) -> None:
        ran.append(n)

    first = note.options(expires=60, delay=30).defer(1)
    note.defer(2)
    let_it_expire(hub, first)
    work(hub)

    assert ran == [2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"expires": 0}, "expires must be above 0 seconds"),
        ({"expires": float("nan")}, "expires must be above 0 seconds"),
        ({"expires": "soon"}, "expires must be seconds, a timedelta or a datetime, got 'soon'"),
        ({"expires": datetime(2030, 1, 1)}, "expires must carry a time zone"),  # noqa: DTZ001 - the point
        ({"expires": 5, "delay": 5}, "expires must be above delay, got 5 and 5"),
        (
            {"expires": datetime(2030, 1, 1, tzinfo=UTC), "at": datetime(2031, 1, 1, tzinfo=UTC)},
            "expires must be after at",
        ),
    ],
)
def test_a_time_that_can_be_none_is_refused_at_the_callers_line(
    hub: Hub, options: dict[str, Any], told: str
) -> None:
    @hub.task
    def note() -> None: ...

    with pytest.raises((TypeError, ValueError), match=told):
        note.options(**options).defer()


def test_the_event_of_an_expired_job_names_its_task(hub: Hub) -> None:
    heard: list[JobEvent] = []
    hub.on("job.cancelled", heard.append)

    @hub.task(name="note", queue="q")
    async def note() -> None: ...

    job = note.options(expires=60).defer()
    let_it_expire(hub, job)
    work(hub)

    assert [(e.task_name, e.queue) for e in heard] == [("note", "q")]
