"""The overview: what waits, what was done by the minute, what is wrong; a million jobs are not counted."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.queue.staged import change, new_worker

from taskhub import Hub
from taskhub.queue import insight, minutes
from taskhub.queue.insight import depths
from taskhub.queue.minutes import Durations


def ran(
    hub: Hub, count: int, *, outcome: str = "succeeded", seconds: float = 1.0, ago: str
) -> None:
    """Runs of task send in queue mail that ended so long ago, deferred a minute before."""
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO taskhub.attempts
                    (job_id, claim, attempt, outcome, queue_name, task_name, deferred_at, started_at,
                     finished_at)
                SELECT nextval('taskhub.procrastinate_jobs_id_seq'), 1, 1,
                    CAST(:outcome AS taskhub.attempt_outcome), 'mail', 'send',
                    ended.at - interval '1 minute', ended.at - make_interval(secs => :seconds), ended.at
                FROM generate_series(1, :count)
                CROSS JOIN (SELECT now() - CAST(:ago AS interval) AS at) AS ended
            """),
            {"outcome": outcome, "seconds": seconds, "count": count, "ago": ago},
        )


def test_a_hub_without_anything_is_healthy(hub: Hub) -> None:
    found = insight.overview(hub)

    assert (found.health, found.findings, found.queues) == ("healthy", [], [])
    assert found.minutes_until is None


def test_a_minute_that_is_over_is_added_up_once(hub: Hub) -> None:
    ran(hub, 30, ago="3 minutes")
    ran(hub, 10, outcome="failed", seconds=8.0, ago="2 minutes")

    until_at = minutes.add_up(hub)
    again = minutes.add_up(hub)
    found = insight.overview(hub)
    [task] = insight.tasks(hub)

    assert again is not None
    assert until_at == found.minutes_until
    [queue] = found.queues
    assert (queue.state.queue, queue.runs, queue.failure_rate) == ("mail", 40, 0.25)
    assert (sum(queue.series), max(queue.series)) == (40, 30)
    assert queue.out_per_minute == 8.0
    assert queue.in_per_minute == 6.0  # of those that failed nobody knows when they were deferred
    assert queue.p50_seconds == pytest.approx(1.0, rel=0.11)
    assert queue.p95_seconds == pytest.approx(8.0, rel=0.11)
    assert [(f.name, f.health, f.about) for f in found.findings] == [
        ("failing", "degraded", "mail")
    ]
    assert (task.task, task.runs, task.succeeded, task.failed) == ("send", 40, 30, 10)
    assert task.slowest_seconds == pytest.approx(8.0)
    assert task.slowest_job_id is not None
    assert task.slowest_job_id > 30


def test_jobs_that_are_deferred_in_the_next_minute_are_added_to_it(hub: Hub) -> None:
    minutes.add_up(hub)

    @hub.task(name="send", queue="mail")
    async def send() -> None: ...

    send.defer_many([{}] * 3)
    change(hub, "UPDATE taskhub.minutes_mark SET until_at = until_at - interval '5 minutes'")
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET deferred_at = "
        "(SELECT until_at + interval '61 seconds' FROM taskhub.minutes_mark)",
    )
    minutes.add_up(hub)

    [task] = insight.tasks(hub)
    assert (task.deferred, task.runs, task.p50_seconds) == (3, 0, None)


def test_what_is_wrong_is_named_with_the_jobs_that_show_it(hub: Hub) -> None:
    hub = Hub(settings=dataclasses.replace(hub.settings, alert_oldest_seconds=60.0))

    @hub.task(name="send", queue="mail")
    async def send() -> None: ...

    send.defer()
    send.options(queue="slow").defer()
    send.options(queue="held").defer()
    hub.pause(queue="held", reason="provider is down")
    change(hub, "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '2 minutes'")
    new_worker(hub, queues=["slow"], tasks=("send",))

    found = insight.overview(hub)

    assert found.health == "bad"
    assert [(one.name, one.about) for one in found.findings] == [
        ("unserved", "mail"), ("paused", "held"), ("late", "slow"),
    ]  # fmt: skip
    assert found.findings[0].text == "1 jobs wait in queue mail, which no live worker serves"
    assert found.findings[0].filter == "queue:mail state:todo"
    by_name = {row.state.queue: row for row in found.queues}
    assert by_name["held"].pause_reason == "provider is down"
    assert by_name["slow"].is_late
    assert by_name["slow"].slots > 0
    hub.close()


def test_beyond_where_counting_ends_a_count_is_the_planners(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    @hub.task(name="send", queue="mail")
    async def send() -> None: ...

    send.defer_many([{}] * 20)
    send.options(priority=5).defer_many([{}] * 20)
    send.options(queue="few", lock="a").defer_many([{}] * 3)
    send.options(delay=3600).defer()
    change(hub, "UPDATE taskhub.procrastinate_jobs SET status = 'failed' WHERE id = 1")
    with hub.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("ANALYZE taskhub.procrastinate_jobs")
    exact = {row.queue: row for row in insight.queues(hub)}

    monkeypatch.setattr(depths, "MOST_COUNTED", 10)
    monkeypatch.setattr(depths, "MOST_OF_LANE", 10)
    capped = {row.queue: row for row in insight.queues(hub)}
    counts = insight.counts(hub)

    assert (exact["mail"].ready, exact["mail"].scheduled, exact["mail"].failed) == (39, 1, 1)
    assert (exact["few"].ready, exact["few"].estimated) == (3, ())
    assert exact["few"].oldest_ready_seconds is not None
    assert capped["mail"].estimated == ("ready",)
    assert 20 < capped["mail"].ready < 80
    assert capped["few"] == dataclasses.replace(
        exact["few"], oldest_ready_seconds=capped["few"].oldest_ready_seconds
    )
    assert (counts.failed, counts.scheduled, counts.estimated) == (1, 1, ("ready",))


@pytest.mark.parametrize(
    ("took", "share", "seconds"),
    [
        (Durations((), ()), 0.5, None),
        (Durations((10,), (1,)), 0.5, 0.001 * 1.2**10.5),
        (Durations((0, 50), (95, 5)), 0.95, 0.001 * 1.2**0.5),
        (Durations((0, 50), (94, 6)), 0.95, 0.001 * 1.2**50.5),
    ],
)
def test_a_percentile_is_the_middle_of_its_bucket(
    took: Durations, share: float, seconds: Any
) -> None:
    assert took.percentile(share) == (None if seconds is None else pytest.approx(seconds))


def test_minutes_are_kept_for_a_day(hub: Hub) -> None:
    change(
        hub,
        "INSERT INTO taskhub.minutes VALUES "
        "(now() - interval '26 hours', 'q', 't', 1, 1, 0, 0, 0, '{}', '{}', NULL, NULL)",
    )

    minutes.add_up(hub)

    assert insight.tasks(hub, since=timedelta(days=30)) == []
