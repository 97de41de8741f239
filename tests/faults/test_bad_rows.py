"""Rows that no deferrer of ours could have written stop no worker."""

import psycopg
import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs, Start

BAD = {
    "a list": "[1]",
    "null": "null",
    "a text": '"text"',
    "a number of 5,001 digits": '{"number": 1' + "0" * 5000 + "}",
    "3,000 levels deep": '{"number": ' + "[" * 3000 + "]" * 3000 + "}",
    "a number that is no integer": '{"number": {"a": 1}}',
    "an unknown name": '{"nomber": 1}',
}


def insert(cluster: Cluster, args: str) -> int:
    """A row behind the back of every check and trigger."""
    checks = cluster.rows(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' "
        "AND conrelid = 'taskhub.procrastinate_jobs'::regclass"
    )
    with cluster.connect() as connection:
        for check in checks:
            connection.execute(
                f'ALTER TABLE taskhub.procrastinate_jobs DROP CONSTRAINT "{check["conname"]}"'
            )
        connection.execute("SET session_replication_role = replica")
        row = connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) "
            "VALUES ('work', 'nothing', %s::jsonb) RETURNING id",
            (args,),
        ).fetchone()
    assert row is not None
    return int(row["id"])


@pytest.mark.parametrize("args", ["[1]", "null"])
def test_procrastinate_leaves_a_job_whose_arguments_are_no_object_running_for_ever(
    plain_jobs: Jobs, start_plain: Start, args: str
) -> None:
    job_id = plain_jobs.defer("nothing", columns={"args": args})
    worker = start_plain()
    later = plain_jobs.defer("answer", text="done")
    plain_jobs.becomes(later, "succeeded")

    assert worker.lives
    assert plain_jobs.status(job_id) == "doing"


def test_a_procrastinate_worker_ends_at_a_number_of_5001_digits(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    plain_jobs.defer("nothing", columns={"args": BAD["a number of 5,001 digits"]})

    assert start_plain().ends() != 0


def test_bad_rows_end_as_failed_with_their_reason_and_the_worker_goes_on(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    bad = {what: insert(cluster, args) for what, args in BAD.items()}
    good = jobs.defer("nothing", number=1)
    worker = start()

    jobs.ends(good, "succeeded")

    for what, job_id in bad.items():
        jobs.ends(job_id, "failed")
        assert jobs.status(job_id) == "failed", what
        reason = cluster.one("SELECT error_message FROM taskhub.attempts WHERE job_id = %s", job_id)
        assert reason, what
    assert worker.lives


@pytest.mark.parametrize("args", ["[1]", "null"])
def test_the_table_refuses_arguments_that_are_no_object(jobs: Jobs, args: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        jobs.defer("nothing", columns={"args": args})


def test_procrastinate_fails_a_job_that_was_deferred_before_its_worker_was_deployed(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    job_id = plain_jobs.defer("news")
    start_plain()

    plain_jobs.becomes(job_id, "failed")


def test_a_job_that_was_deferred_before_its_worker_was_deployed_waits_for_it(
    jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("news")
    old = start()
    later = jobs.defer("nothing")
    jobs.ends(later, "succeeded")
    assert jobs.status(job_id) == "todo"
    old.terminate()
    old.ends()

    start(news="yes")

    jobs.becomes(job_id, "succeeded", seconds=90)
    row = jobs.one("SELECT max(attempt) FROM taskhub.attempts WHERE job_id = %s", job_id)
    assert row == 1  # waiting for a worker that knows it used none up


def test_every_attempt_is_stored_with_its_worker_and_its_error(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("fail", reason="no such luck")
    worker = start()

    jobs.ends(job_id, "failed")

    [attempt] = cluster.rows(
        "SELECT a.attempt, a.error_class, a.error_message, a.traceback, a.fingerprint, w.pid, "
        "a.started_at <= a.finished_at AS in_order "
        "FROM taskhub.attempts AS a JOIN taskhub.workers AS w ON w.id = a.worker_id "
        "WHERE a.job_id = %s",
        job_id,
    )
    assert attempt["attempt"] == 1
    assert attempt["error_class"].endswith("RuntimeError")
    assert attempt["error_message"] == "no such luck"
    assert "raise RuntimeError(reason)" in attempt["traceback"]
    assert attempt["fingerprint"]
    assert attempt["pid"] == worker.process.pid
    assert attempt["in_order"]
