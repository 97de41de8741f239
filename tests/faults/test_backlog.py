"""Jobs that cannot run yet are in nobody's way."""

from typing import Any

import psycopg

from taskhub import db
from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs, Start

FUTURE = """
    INSERT INTO {table} (queue_name, task_name, scheduled_at)
    SELECT 'work', 'nothing', now() + interval '1 day' FROM generate_series(1, 200000)
"""
BEHIND_A_LOCK = """
    INSERT INTO {table} (queue_name, task_name, lock)
    SELECT 'work', 'nothing', 'a' FROM generate_series(1, 20000)
"""


def buffers(url: str, statement: str) -> int:
    """The pages that a statement touches, beside what a new session reads once; it is rolled back."""
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        connection.execute(statement)
        connection.rollback()
        row: Any = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        ).fetchone()
        connection.rollback()
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_procrastinate_looks_at_every_future_job_before_a_ready_one(
    cluster: Cluster, plain_jobs: Jobs
) -> None:
    fetch = "SELECT procrastinate_fetch_job_v2(NULL, NULL)"
    plain_jobs.defer("nothing")
    alone = buffers(cluster.plain_url, fetch)
    plain_jobs.one("DELETE FROM procrastinate_jobs RETURNING id")
    plain_jobs.one(FUTURE.format(table=plain_jobs.table) + "RETURNING id")
    plain_jobs.defer("nothing")

    assert buffers(cluster.plain_url, fetch) > 10 * alone


def claim(cluster: Cluster) -> str:
    """What a worker sends to take a job: the newest of the tick functions, with plain values."""
    worker = cluster.one("INSERT INTO taskhub.procrastinate_workers DEFAULT VALUES RETURNING id")
    return (
        f"SELECT * FROM taskhub.tick_v1({worker}, '{{}}', '{{}}', NULL, NULL, 1, '{{work}}', "
        "'{work}', '{0}', '{0}', NULL, 0, 1, false, 0, 0, '-infinity', false)"
    )


def test_a_claim_costs_the_same_with_200000_future_jobs_before_the_ready_one(
    cluster: Cluster, jobs: Jobs
) -> None:
    statement = claim(cluster)
    jobs.defer("nothing")
    alone = buffers(cluster.url, statement)
    jobs.one(f"DELETE FROM {jobs.table} RETURNING id")
    jobs.one(FUTURE.format(table=jobs.table) + "RETURNING id")
    jobs.defer("nothing")

    crowded = buffers(cluster.url, statement)

    assert crowded <= 1.5 * alone


def test_ready_jobs_run_while_many_wait_for_a_date_or_a_lock(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    jobs.one(FUTURE.format(table=jobs.table) + "RETURNING id")
    held = jobs.defer("hold", door="never", columns={"lock": "a"})
    worker = start()
    worker.hears(f"running {held} 1")
    jobs.one(BEHIND_A_LOCK.format(table=jobs.table) + "RETURNING id")

    ready = [jobs.defer("nothing") for _ in range(50)]

    for job_id in ready:
        jobs.ends(job_id, "succeeded")
