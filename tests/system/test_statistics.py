"""Hours of the history are added up once, kept for their days, and told by task, queue or hour."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from taskhub import Hub
from taskhub.system import statistics
from taskhub.system.models import HourStatistics
from tests.system.conftest import Watched, run


def history(hub: Hub, hours_ago: int, *outcomes: str, task: str = "work", seconds: int = 2) -> None:
    """Runs that ended within the hour so many hours ago, each after `seconds`, deferred 3 s before."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    ended = hour - timedelta(hours=hours_ago) + timedelta(minutes=5)
    with hub.engine.begin() as connection:
        for outcome in outcomes:
            connection.execute(
                text("""
                    INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name,
                        task_name, deferred_at, started_at, finished_at)
                    SELECT coalesce(max(job_id), 500000) + 1, 1, 1, CAST(:outcome AS taskhub.attempt_outcome),
                        'shop', :task, CAST(:at AS timestamptz) - make_interval(secs => :seconds + 3),
                        CAST(:at AS timestamptz) - make_interval(secs => :seconds), :at
                    FROM taskhub.attempts
                """),
                {"outcome": outcome, "task": task, "at": ended, "seconds": seconds},
            )


def kept(hub: Hub) -> list[HourStatistics]:
    with hub.transaction() as session:
        rows = list(session.scalars(select(HourStatistics).order_by(HourStatistics.hour)))
        session.expunge_all()
        return rows


def test_an_hour_is_added_up_once_whatever_comes_after(watched: Watched) -> None:
    hub = watched()
    history(hub, 3, "succeeded", "succeeded", "failed", "retried", "lost", "snoozed")

    first = run(hub, "statistics_rollup")
    second = run(hub, "statistics_rollup")

    assert first["hours"] > 2
    assert second["hours"] <= 1
    [row] = kept(hub)
    assert (row.queue, row.task) == ("shop", "work")
    assert (row.succeeded, row.failed, row.retried, row.lost) == (2, 1, 1, 1)
    assert row.duration_p50_seconds == pytest.approx(2)
    assert row.wait_p95_seconds == pytest.approx(3)


def test_an_hour_that_is_added_up_again_is_replaced(watched: Watched) -> None:
    hub = watched()
    history(hub, 3, "succeeded")
    statistics.roll_up(hub)
    history(hub, 3, "failed")
    with hub.engine.begin() as connection:
        connection.execute(text("UPDATE taskhub_kb.bookmarks SET at = at - interval '5 hours'"))

    statistics.roll_up(hub)

    [row] = kept(hub)
    assert (row.succeeded, row.failed) == (1, 1)


def test_a_week_away_is_made_up_for_and_no_more(watched: Watched) -> None:
    hub = watched()
    history(hub, 24 * 9, "succeeded", task="old")
    history(hub, 24 * 6, "succeeded", task="recent")

    told: list[tuple[int, int]] = []
    hours = statistics.roll_up(hub, lambda done, of: told.append((done, of)))

    assert [row.task for row in kept(hub)] == ["recent"]
    assert told[-1] == (hours, hours)
    assert hours <= 24 * 7 + 1


def test_totals_are_told_by_task_queue_and_hour(watched: Watched) -> None:
    hub = watched()
    history(hub, 2, "succeeded", "succeeded", "succeeded", seconds=1)
    history(hub, 3, "succeeded", seconds=5)
    history(hub, 3, "failed", task="other")
    statistics.roll_up(hub)
    since = datetime.now(UTC) - timedelta(hours=24)

    with hub.transaction() as session:
        by_task = statistics.totals(session, since, by="task")
        by_queue = statistics.totals(session, since, by="queue")
        by_hour = statistics.totals(session, since, by="hour")

    assert [(t.name, t.succeeded, t.failed) for t in by_task] == [("work", 4, 0), ("other", 0, 1)]
    assert by_task[0].typical_seconds == pytest.approx(2)
    assert by_task[0].slowest_p95_seconds == pytest.approx(5)
    assert [(t.name, t.succeeded, t.failed) for t in by_queue] == [("shop", 4, 1)]
    assert [t.succeeded for t in by_hour] == [1, 3]


def test_what_is_past_its_days_is_forgotten_and_open_alerts_stay(watched: Watched) -> None:
    hub = watched(alert_days=10, statistics_days=10)
    with hub.engine.begin() as connection:
        for days in (5, 20):
            connection.execute(
                text("""
                    INSERT INTO taskhub_kb.alerts (key, severity, text, remedy, since, resolved_at)
                    VALUES ('k', 'warning', 't', 'r', now(), now() - make_interval(days => :days))
                """),
                {"days": days},
            )
            connection.execute(
                text("""
                    INSERT INTO taskhub_kb.notices (kind, subject, lines, created_at)
                    VALUES ('alerts', 's', '[]', now() - make_interval(days => :days))
                """),
                {"days": days},
            )
            connection.execute(
                text("""
                    INSERT INTO taskhub_kb.job_statistics
                        (hour, queue, task, succeeded, failed, retried, lost)
                    SELECT date_trunc('hour', now()) - make_interval(days => :days), 'q', 't' || n, 1, 0, 0, 0
                    FROM generate_series(1, 1500) AS n
                """),
                {"days": days},
            )
        connection.execute(
            text("""
                INSERT INTO taskhub_kb.alerts (key, severity, text, remedy, since)
                VALUES ('open', 'warning', 't', 'r', now() - interval '1 year')
            """)
        )

    first = run(hub, "retention")
    second = run(hub, "retention")

    assert {n: first[n] for n in ("alerts", "notices", "statistics")} == {
        "alerts": 1,
        "notices": 1,
        "statistics": 1500,
    }
    assert second["alerts"] == second["notices"] == second["statistics"] == 0
    assert len(kept(hub)) == 1500
