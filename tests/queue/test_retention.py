"""What is deleted when its time is over, and what the deleting never holds up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.rows import dict_row
from tests.waiting import until

from taskhub import Hub, db
from taskhub.cli import act
from taskhub.cli.errors import Refused
from taskhub.queue import retention
from taskhub.queue.retention import Pruned, prune, prune_if_due

Connection = psycopg.Connection[dict[str, Any]]


@contextmanager
def connected(hub: Hub, *, autocommit: bool = True) -> Iterator[Connection]:
    with psycopg.connect(
        db.conninfo(hub.url), autocommit=autocommit, row_factory=dict_row
    ) as connection:
        yield connection


@pytest.fixture
def sql(hub: Hub) -> Iterator[Connection]:
    with connected(hub) as connection:
        yield connection


def ran(sql: Connection, job_id: int, *, days_ago: float, worker_id: int | None = None) -> None:
    """Note that a job of this id ran to its end, so long ago."""
    sql.execute(
        """
        INSERT INTO taskhub.attempts
            (job_id, claim, attempt, outcome, queue_name, task_name, worker_id, finished_at)
        VALUES (%s, 1, 1, 'succeeded', 'q', 't', %s, now() - make_interval(secs => %s * 86400))
        """,
        [job_id, worker_id, days_ago],
    )


def ended(sql: Connection, status: str, *, days_ago: float, job_id: int | None = None) -> int:
    """Leave a job that ended in this status, so long ago; its id."""
    row = sql.execute(
        """
        INSERT INTO taskhub.procrastinate_jobs (id, queue_name, task_name, args, status, finished_at)
        VALUES (
            coalesce(%s, nextval('taskhub.procrastinate_jobs_id_seq')), 'q', 't', '{}',
            %s::taskhub.procrastinate_job_status, now() - make_interval(secs => %s * 86400)
        )
        RETURNING id
        """,
        [job_id, status, days_ago],
    ).fetchone()
    assert row is not None
    return int(row["id"])


def worked(sql: Connection, worker_id: int, *, days_ago: float) -> None:
    sql.execute(
        """
        INSERT INTO taskhub.workers
            (id, host, pid, name, version, tasks, concurrency, lease_seconds, started_at, stopped_at)
        VALUES (
            %s, 'h', 1, 'w', '0', '{}', 1, 30,
            now() - make_interval(secs => (%s + 0.5) * 86400),
            now() - make_interval(secs => %s * 86400)
        )
        """,
        [worker_id, days_ago, days_ago],
    )


def partitions(sql: Connection) -> list[str]:
    return [
        row["name"]
        for row in sql.execute(
            """
            SELECT c.relname AS name FROM pg_class AS c
            WHERE c.relname ~ '^attempts_[0-9]+$' AND c.relkind = 'r' ORDER BY 1
            """
        )
    ]


def ids(sql: Connection, table: str) -> list[int]:
    return [r["id"] for r in sql.execute(f"SELECT id FROM taskhub.{table} ORDER BY id")]


@pytest.fixture
def old_partition(sql: Connection) -> str:
    """A partition whose runs all ended long ago, and one after it that is in use."""
    ran(sql, 1, days_ago=40)
    ran(sql, 999_999, days_ago=35)
    ran(sql, 1_000_000, days_ago=34)
    return "attempts_0"


def test_a_partition_goes_when_all_its_runs_ended_long_ago(
    hub: Hub, sql: Connection, old_partition: str
) -> None:
    done = prune(hub)

    assert (done.partitions, done.waiting) == (1, 0)
    assert done.size_bytes > 0
    assert old_partition not in partitions(sql)
    assert "attempts_1" in partitions(sql)


def test_one_young_run_keeps_its_partition(hub: Hub, sql: Connection, old_partition: str) -> None:
    ran(sql, 500_000, days_ago=29)

    assert prune(hub).partitions == 0
    assert old_partition in partitions(sql)


@pytest.mark.parametrize("status", ["todo", "failed"])
def test_a_job_that_is_still_there_keeps_the_partition_of_its_id(
    hub: Hub, sql: Connection, old_partition: str, status: str
) -> None:
    ended(sql, status, days_ago=50, job_id=999_999)

    assert prune(hub).partitions == 0
    assert old_partition in partitions(sql)


def test_partitions_made_ahead_and_the_one_in_use_stay(hub: Hub, sql: Connection) -> None:
    before = partitions(sql)
    ran(sql, 1, days_ago=1000)

    assert prune(hub).partitions == 0
    assert partitions(sql) == before


def test_an_open_transaction_that_may_hold_an_id_of_the_range_keeps_the_partition(
    hub: Hub, sql: Connection, old_partition: str
) -> None:
    sql.execute("DELETE FROM taskhub.attempts WHERE job_id = 1000000")
    with connected(hub, autocommit=False) as user:
        user.execute("SELECT nextval('taskhub.procrastinate_jobs_id_seq')")
        ran(sql, 1_000_000, days_ago=0)

        assert prune(hub).partitions == 0

    assert prune(hub).partitions == 1


@contextmanager
def pruning(hub: Hub) -> Iterator[list[Pruned]]:
    done: list[Pruned] = []
    thread = threading.Thread(target=lambda: done.append(prune(hub)))
    thread.start()
    yield done
    thread.join()


def is_pending(sql: Connection) -> bool:
    row = sql.execute("SELECT bool_or(inhdetachpending) AS yes FROM pg_inherits").fetchone()
    return bool(row and row["yes"])


@pytest.fixture
def reader(hub: Hub, sql: Connection, old_partition: str) -> Iterator[Connection]:
    """Somebody who reads the history in a transaction that stays open."""
    with connected(hub, autocommit=False) as opened:
        opened.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        opened.execute("SELECT count(*) FROM taskhub.attempts")
        yield opened


def test_while_a_partition_waits_for_a_reader_jobs_are_stored_and_partitions_made(
    hub: Hub, sql: Connection, reader: Connection
) -> None:
    with pruning(hub) as done:
        until(lambda: is_pending(sql), "the detach")
        with connected(hub) as worker:
            worker.execute("SET statement_timeout = '1s'")
            ran(worker, 1_000_001, days_ago=0)
            worker.execute("SELECT taskhub.extend_attempts_v1(5000000)")
        assert is_pending(sql)
        reader.rollback()

    assert done[0].partitions == 1
    assert "attempts_5" in partitions(sql)


def test_a_reader_who_stays_is_not_waited_for_and_the_next_run_goes_on(
    hub: Hub, sql: Connection, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE_SECONDS", 0.2)

    first, second = prune(hub), prune(hub)
    assert [(d.partitions, d.waiting) for d in (first, second)] == [(0, 1), (0, 1)]
    assert is_pending(sql)

    reader.rollback()
    third = prune(hub)

    assert (third.partitions, third.waiting) == (1, 0)
    assert "attempts_0" not in partitions(sql)


def test_a_partition_that_was_left_detached_is_dropped(
    hub: Hub, sql: Connection, old_partition: str
) -> None:
    sql.execute("ALTER TABLE taskhub.attempts DETACH PARTITION taskhub.attempts_0")

    assert prune(hub).partitions == 1
    assert old_partition not in partitions(sql)


def test_ended_jobs_go_after_their_days_and_waiting_ones_never(hub: Hub, sql: Connection) -> None:
    for status in ("failed", "cancelled", "aborted"):
        ended(sql, status, days_ago=91)
    kept = [ended(sql, s, days_ago=d) for s, d in [("failed", 89.0), ("todo", 1000), ("doing", 91)]]
    ended(sql, "succeeded", days_ago=31)
    kept.append(ended(sql, "succeeded", days_ago=29))

    done = prune(hub)

    assert done.jobs == 4
    assert ids(sql, "procrastinate_jobs") == sorted(kept)


def test_more_jobs_than_one_batch_go_batch_by_batch(
    hub: Hub, sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(4):
        for status in ("failed", "aborted"):
            ended(sql, status, days_ago=100)
    told: list[int] = []

    prune(hub, progress=lambda done: told.append(done.jobs))

    assert ids(sql, "procrastinate_jobs") == []
    assert told[:3] == [3, 6, 8]


def test_events_of_jobs_that_are_gone_go_with_the_history(hub: Hub, sql: Connection) -> None:
    job_id = ended(sql, "failed", days_ago=40)
    rows = sql.execute(
        """
        INSERT INTO taskhub.procrastinate_events (job_id, type, at)
        VALUES (%s, 'failed', now() - interval '40 days'),
               (999999, 'failed', now() - interval '40 days'),
               (999999, 'failed', now() - interval '20 days')
        RETURNING id
        """,
        [job_id],
    ).fetchall()

    assert prune(hub).events == 1
    assert ids(sql, "procrastinate_events") == [rows[0]["id"], rows[2]["id"]]


def test_what_was_seen_of_overlapping_runs_is_kept_as_long_as_the_history(
    hub: Hub, sql: Connection
) -> None:
    for days in (1, hub.settings.history_days + 1):
        sql.execute(
            """
            INSERT INTO taskhub.overlaps (job_id, claim, worker_id, overlap_seconds, noticed_at)
            VALUES (%s, 1, 1, 0.5, now() - make_interval(days => %s::integer))
            """,
            [days, days],
        )

    assert prune(hub, dry_run=True).overlaps == 1
    assert prune(hub).overlaps == 1
    assert [row["job_id"] for row in sql.execute("SELECT job_id FROM taskhub.overlaps")] == [1]


def test_requests_to_stop_go_when_their_run_is_over(hub: Hub, sql: Connection) -> None:
    running, over = ended(sql, "doing", days_ago=0), ended(sql, "failed", days_ago=0)
    for job_id, claim in [(running, 0), (running, 7), (over, 0), (over + 1, 0)]:
        sql.execute(
            """
            INSERT INTO taskhub.cancel_requests (job_id, claim, asked_at)
            VALUES (%s, %s, now() - interval '2 hours')
            """,
            [job_id, claim],
        )

    assert prune(hub).cancel_requests == 3
    [left] = sql.execute("SELECT job_id, claim FROM taskhub.cancel_requests").fetchall()
    assert left == {"job_id": running, "claim": 0}


def test_workers_go_when_no_run_in_the_history_points_at_them(hub: Hub, sql: Connection) -> None:
    for worker_id, days_ago in [(1, 40), (2, 40), (3, 10)]:
        worked(sql, worker_id, days_ago=days_ago)
    ran(sql, 1, days_ago=40.2, worker_id=2)

    assert prune(hub).workers == 1
    assert ids(sql, "workers") == [2, 3]


def test_a_worker_goes_in_the_same_run_as_the_last_partition_it_stands_in(
    hub: Hub, sql: Connection, old_partition: str
) -> None:
    worked(sql, 7, days_ago=35)
    ran(sql, 77, days_ago=35.1, worker_id=7)

    done = prune(hub)

    assert (done.partitions, done.workers) == (1, 1)


def test_a_dry_run_counts_and_deletes_nothing(
    hub: Hub, sql: Connection, old_partition: str
) -> None:
    # Its id is in no partition that could go, so both are counted.
    letter = ended(sql, "failed", days_ago=91, job_id=1_000_050)
    worked(sql, 7, days_ago=40)
    sql.execute(
        """
        INSERT INTO taskhub.procrastinate_events (job_id, type, at)
        VALUES (999999, 'failed', now() - interval '40 days')
        """
    )
    sql.execute(
        """
        INSERT INTO taskhub.cancel_requests (job_id, claim, asked_at)
        VALUES (1, 1, now() - interval '2 hours')
        """
    )

    told = prune(hub, dry_run=True)

    assert ids(sql, "procrastinate_jobs") == [letter]
    assert ids(sql, "workers") == [7]
    assert old_partition in partitions(sql)
    assert prune(hub) == told
    assert (told.jobs, told.partitions, told.workers) == (1, 1, 1)
    assert (told.events, told.cancel_requests) == (1, 1)


def test_the_turn_comes_once_an_hour_for_the_whole_fleet(hub: Hub, sql: Connection) -> None:
    first, second = prune_if_due(hub), prune_if_due(hub)
    sql.execute("UPDATE taskhub.upkeep SET last_at = now() - interval '61 minutes'")
    third = prune_if_due(hub)

    assert first is not None
    assert second is None
    assert third is not None


def test_a_partition_is_judged_without_reading_it(hub: Hub, sql: Connection) -> None:
    sql.execute(
        """
        INSERT INTO taskhub.attempts
            (job_id, claim, attempt, outcome, queue_name, task_name, finished_at)
        SELECT n, 1, 1, 'succeeded', 'q', 't', now() - interval '40 days' + n * interval '1 second'
        FROM generate_series(1, 100000) AS n
        """
    )
    ran(sql, 1_000_000, days_ago=1)
    sql.execute("VACUUM ANALYZE taskhub.attempts")
    from taskhub.queue import sql as statements

    plan = sql.execute(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
        + statements.load("partition_is_over", "taskhub"),
        {"first_id": 0, "end_id": 1_000_000, "history_seconds": 30 * 86_400},
    ).fetchone()
    assert plan is not None
    top = plan["QUERY PLAN"][0]["Plan"]

    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 100


def test_the_command_counts_first_and_deletes_only_what_was_confirmed(
    hub: Hub, sql: Connection
) -> None:
    letter = ended(sql, "failed", days_ago=91)
    url = hub.url.render_as_string(hide_password=False)

    def taskhub(*arguments: str) -> Result:
        return CliRunner().invoke(act.prune, ["--database-url", url, "-o", "json", *arguments])

    dry, refused = taskhub("--dry-run"), taskhub()
    left = ids(sql, "procrastinate_jobs")
    done = taskhub("--yes")

    assert json.loads(dry.stdout)["jobs"] == 1
    assert isinstance(refused.exception, Refused)
    assert left == [letter]
    assert json.loads(done.stdout)["jobs"] == 1
    assert ids(sql, "procrastinate_jobs") == []
