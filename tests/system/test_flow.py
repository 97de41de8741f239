"""The rules on how jobs flow: each finds what it is for, and does not find what is well."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue import insight
from taskhub.settings import BadSetting, Settings
from taskhub.system import flow, rules, surroundings
from taskhub.system.findings import Finding, Reader
from tests.system.conftest import Watched


def sql(hub: Hub, statement: str, **parameters: object) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text(statement), parameters)


def waiting(hub: Hub, jobs: int, *, queue: str = "q", minutes: int = 1) -> None:
    sql(
        hub,
        """
        INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, deferred_at)
        SELECT :queue, 'work', '{}', now() - :minutes * interval '1 minute'
        FROM generate_series(1, :jobs)
        """,
        queue=queue, jobs=jobs, minutes=minutes,
    )  # fmt: skip


def ended(
    hub: Hub,
    runs: int,
    outcome: str,
    *,
    queue: str = "q",
    first_id: int = 900_000,
    task: str = "work",
) -> None:
    sql(
        hub,
        """
        INSERT INTO taskhub.attempts
            (job_id, claim, attempt, outcome, queue_name, task_name, deferred_at, started_at, finished_at)
        SELECT :first + n, 1, 1, CAST(:outcome AS taskhub.attempt_outcome), :queue, :task,
            now() - interval '1 hour', now() - interval '2 minutes', now() - interval '1 minute'
        FROM generate_series(1, :runs) AS n
        """,
        queue=queue, runs=runs, outcome=outcome, first=first_id, task=task,
    )  # fmt: skip


def worker(hub: Hub, *, seconds_ago: int = 0, queue: str = "q") -> int:
    """A worker whose heartbeat is so old; its id."""
    with hub.engine.begin() as connection:
        worker_id = connection.execute(
            text("""
                INSERT INTO taskhub.procrastinate_workers (last_heartbeat)
                VALUES (now() - :ago * interval '1 second') RETURNING id
            """),
            {"ago": seconds_ago},
        ).scalar_one()
        connection.execute(
            text("""
                INSERT INTO taskhub.workers (id, host, pid, name, version, queues, tasks, concurrency,
                    lease_seconds)
                VALUES (:id, 'h', 1, 'w', '1', ARRAY[:queue], ARRAY['work'], 1, 30)
            """),
            {"id": worker_id, "queue": queue},
        )
    return int(worker_id)


def about(rule: Callable[[Reader], list[Finding]], hub: Hub) -> list[str]:
    return [finding.about for finding in rule(Reader(hub))]


def test_a_backlog_that_grows_is_told_with_the_time_it_needs(watched: Watched) -> None:
    hub = watched(alert_backlog_jobs=30)
    waiting(hub, 40)
    ended(hub, 4, "succeeded")
    waiting(hub, 40, queue="shrinks", minutes=60)
    ended(hub, 40, "succeeded", queue="shrinks", first_id=910_000)
    waiting(hub, 20, queue="small")

    [found] = flow.growing_backlog(Reader(hub))

    assert found.about == "q"
    assert "4 jobs a minute come and 0 go, 40 are ready" in found.text
    assert "what waits needs 100 min at this pace" in found.text


def test_a_backlog_that_is_done_soon_is_none(watched: Watched) -> None:
    hub = watched(alert_backlog_jobs=30, alert_backlog_eta_seconds=7200)
    waiting(hub, 40)
    ended(hub, 4, "succeeded")

    assert about(flow.growing_backlog, hub) == []


def test_jobs_of_a_lost_worker_that_nobody_gives_back_are_stalled(watched: Watched) -> None:
    hub = watched()
    lost = worker(hub, seconds_ago=120)
    waiting(hub, 1)
    assert about(flow.stalled, hub) == []

    sql(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET status = 'doing', worker_id = :id, started_at = now()",
        id=lost,
    )

    assert about(flow.stalled, hub) == [f"worker:{lost}"]


def test_a_queue_in_which_nothing_starts_is_stalled_unless_it_is_paused(watched: Watched) -> None:
    hub = watched()
    worker(hub)
    waiting(hub, 2, minutes=10)
    assert about(flow.stalled, hub) == ["q"]

    hub.pause(queue="q")
    assert about(flow.stalled, hub) == []
    hub.resume(queue="q")
    ended(hub, 1, "succeeded")

    assert about(flow.stalled, hub) == []


def test_a_task_that_is_tried_again_and_again_is_a_storm(watched: Watched) -> None:
    hub = watched(alert_retries=10)
    ended(hub, 12, "retried", task="flaky")
    ended(hub, 5, "succeeded", task="flaky", first_id=910_000)
    ended(hub, 12, "retried", task="mostly_well", first_id=920_000)
    ended(hub, 20, "succeeded", task="mostly_well", first_id=930_000)
    ended(hub, 9, "retried", task="seldom", first_id=940_000)

    assert about(flow.retry_storm, hub) == ["flaky"]


def test_a_missed_tick_tells_whether_a_live_worker_declares_it(watched: Watched) -> None:
    hub = watched()
    sql(
        hub,
        """
        INSERT INTO taskhub.crons (task_name, cron_id, expression, zone, catch_up, jitter_seconds, mark)
        VALUES ('beat', '', '* * * * *', 'UTC', 'last', 0, now() - interval '20 minutes')
        """,
    )
    [nobody] = rules.missed_schedules(Reader(hub))

    sql(hub, "UPDATE taskhub.workers SET crons = ARRAY['beat'] WHERE id = :id", id=worker(hub))
    [hangs] = rules.missed_schedules(Reader(hub))
    sql(hub, "UPDATE taskhub.crons SET mark = now()")

    assert "no live worker declares it" in nobody.text
    assert "though live worker" in hangs.text
    assert rules.missed_schedules(Reader(hub)) == []


def test_a_full_disk_is_told_where_it_can_be_seen(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(_, free)] = surroundings.room(watched(backup_directory=tmp_path))
    roomy = watched(backup_directory=tmp_path, alert_disk_free_share=free / 2)
    tight = watched(backup_directory=tmp_path, alert_disk_free_share=min(1.0, free * 1.5))

    assert about(flow.low_disk, roomy) == []
    assert about(flow.low_disk, tight) == [str(tmp_path)]
    assert about(flow.low_disk, watched()) == []


def test_a_queue_may_have_an_objective_of_its_own() -> None:
    settings = Settings(alert_oldest_by_queue={"mail": "60", "index*": "3600"})

    assert insight.objective_seconds(settings, "mail") == 60
    assert insight.objective_seconds(settings, "indexing") == 3600
    assert insight.objective_seconds(settings, "other") == 900


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_an_objective_that_is_no_time_is_refused(seconds: str) -> None:
    with pytest.raises(BadSetting, match="must give seconds above 0 for 'mail'"):
        Settings(alert_oldest_by_queue={"mail": seconds})
