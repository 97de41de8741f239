"""Locks and queueing locks, where transactions commit in any order and jobs come back late."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from taskhub import db
from tests.faults.cluster import Cluster, wait_for_lock
from tests.faults.conftest import Doors, Jobs, Start

ELSEWHERE = "nobody-works-here"
SECTIONS = """CREATE TABLE sections (
    name text NOT NULL,
    job_id bigint NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_at timestamptz
)"""


def insert(
    connection: psycopg.Connection[dict[str, Any]], task: str, lock: str, args: str = "{}"
) -> int:
    """A job with a lock in the connection's open transaction."""
    row = connection.execute(
        "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, lock, args) "
        "VALUES ('work', %s, %s, %s) RETURNING id",
        (task, lock, args),
    ).fetchone()
    assert row is not None
    return int(row["id"])


def test_procrastinate_breaks_a_fetch_when_two_race_for_a_lock(cluster: Cluster) -> None:
    fetch = "SELECT procrastinate_fetch_job_v2(NULL, NULL)"
    defer = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock) VALUES ('work', 'hold', 'a')"
    )
    plain = db.conninfo(db.address(cluster.plain_url))
    with (
        psycopg.connect(plain) as lower,
        psycopg.connect(plain, autocommit=True) as higher,
        psycopg.connect(plain) as first,
        psycopg.connect(plain) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        lower.execute(defer)
        higher.execute(defer)
        first.execute(fetch)  # takes the higher id, the only one there is so far
        lower.commit()
        fetching = pool.submit(second.execute, fetch)
        wait_for_lock(cluster, first.info.backend_pid)
        first.commit()

        with pytest.raises(psycopg.errors.UniqueViolation):
            fetching.result()


def test_a_job_that_was_committed_late_waits_for_the_one_that_has_its_lock(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    worker = start()
    with cluster.connect(autocommit=False) as late:
        first_id = insert(late, "hold", "a", '{"door": "go"}')
        second_id = jobs.defer("hold", door="go", columns={"lock": "a"})
        worker.hears(f"running {second_id} 1")
    jobs.ends(jobs.defer("nothing"), "succeeded")  # it has looked since

    assert f"running {first_id} 1" not in worker.heard
    doors.open("go")
    for job_id in (first_id, second_id):
        jobs.ends(job_id, "succeeded")


def test_no_two_jobs_of_a_lock_run_at_once_whatever_the_order_of_commits(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    cluster.run(SECTIONS)
    workers = [start() for _ in range(3)]
    order = random.Random(11)  # noqa: S311 - a seed makes a failure come again

    job_ids = []
    for _ in range(20):
        open_ones = [cluster.connect(autocommit=False) for _ in range(10)]
        for n, connection in enumerate(open_ones):
            name = f"lock {n % 3}"
            job_ids.append(insert(connection, "section", name, f'{{"name": "{name}"}}'))
        order.shuffle(open_ones)
        for connection in open_ones:
            connection.commit()
            connection.close()
    jobs.drained(seconds=120)

    assert cluster.one("SELECT count(*) FROM sections") == len(job_ids)
    overlaps = cluster.one(
        "SELECT count(*) FROM sections AS a JOIN sections AS b USING (name) "
        "WHERE a.job_id < b.job_id AND a.entered_at < b.left_at AND b.entered_at < a.left_at"
    )
    assert overlaps == 0
    assert all(worker.lives for worker in workers)
    assert all("UniqueViolation" not in worker.logged for worker in workers)


def test_a_killed_worker_holds_no_lock_for_ever(jobs: Jobs, start: Start, doors: Doors) -> None:
    held = jobs.defer("hold", door="go", columns={"lock": "a"})
    behind = jobs.defer("nothing", columns={"lock": "a"})
    first = start()
    first.hears(f"running {held} 1")

    first.kill()
    doors.open("go")
    start()

    jobs.ends(held, "lost succeeded")
    jobs.ends(behind, "succeeded")


def test_procrastinate_cannot_retry_a_job_whose_queueing_lock_is_taken(plain_jobs: Jobs) -> None:
    first = plain_jobs.defer("hold", columns={"queueing_lock": "a"})
    plain_jobs.one("SELECT procrastinate_fetch_job_v2(NULL, NULL)::text")
    plain_jobs.defer("hold", columns={"queueing_lock": "a"})

    with pytest.raises(psycopg.errors.UniqueViolation):
        plain_jobs.one(
            "SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)::text", first
        )

    assert plain_jobs.status(first) == "doing"


def test_a_job_is_retried_while_a_twin_of_its_queueing_lock_waits(
    jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("fail_once", door="go", columns={"queueing_lock": "a"})
    start(queues="work").hears(f"running {job_id} 1")
    twin = jobs.defer("nothing", queue=ELSEWHERE, columns={"queueing_lock": "a"})

    doors.open("go")

    jobs.ends(job_id, "retried succeeded")
    assert jobs.status(twin) == "todo"


def test_a_twin_in_an_open_transaction_holds_up_no_other_job(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("fail_once", door="go", columns={"queueing_lock": "a", "lock": "b"})
    worker = start(queues="work")
    worker.hears(f"running {job_id} 1")
    with cluster.connect(autocommit=False) as user:
        user.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, queueing_lock) "
            "VALUES (%s, 'nothing', 'a')",
            (ELSEWHERE,),
        )
        doors.open("go")
        others = [jobs.defer("write") for _ in range(20)]
        for other in others:
            jobs.ends(other, "succeeded")

    jobs.ends(job_id, "retried succeeded")
    assert worker.lives


def test_a_job_is_rescued_while_a_twin_of_its_queueing_lock_waits(
    jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go", columns={"queueing_lock": "a", "lock": "b"})
    innocent = jobs.defer("hold", door="go")
    first = start(queues="work")
    for running in (job_id, innocent):
        first.hears(f"running {running} 1")
    twin = jobs.defer("nothing", queue=ELSEWHERE, columns={"queueing_lock": "a"})

    first.kill()
    doors.open("go")
    start(queues="work")

    jobs.ends(job_id, "lost succeeded")
    jobs.ends(innocent, "lost succeeded")
    assert jobs.status(twin) == "todo"
