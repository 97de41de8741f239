"""What Postgres cannot hold is refused before any SQL; the caller's transaction goes on."""

import os
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from taskhub import Hub, db
from taskhub.queue.options import DeferOptions
from taskhub.settings import Settings
from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs

deep: Any = None
for _ in range(500):
    deep = [deep]

BAD_ARGUMENTS: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "NUL": "a\0b",
    "a lone surrogate": "a\ud800b",
    "bytes": b"bytes",
    "4,400 digits": 10**4400,
    "500 levels": deep,
    "20 MB": "x" * 20_000_000,
}
BAD_OPTIONS: dict[str, DeferOptions] = {
    "a queue of 41 bytes": {"queue": "q" * 41},
    "a priority of 33 bits": {"priority": 2**31},
    "a lock that no index holds": {"lock": os.urandom(9000).hex()},
    "a lock with NUL": {"lock": "a\0b"},
    "a queueing lock with a surrogate": {"queueing_lock": "a\udfffb"},
}


@pytest.mark.parametrize("args", ['{"number": NaN}', '{"text": "a\\u0000b"}'])
def test_procrastinate_takes_the_callers_transaction_along(cluster: Cluster, args: str) -> None:
    with psycopg.connect(db.conninfo(db.address(cluster.plain_url))) as connection:
        with pytest.raises(psycopg.errors.DataError):
            connection.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('a', 'b', %s)",
                (args,),
            )

        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")


def test_whatever_cannot_be_stored_is_refused_and_the_callers_transaction_commits(
    cluster: Cluster,
) -> None:
    hub = Hub(settings=Settings(database_url=cluster.url))

    @hub.task(name="keep")
    def keep(value: Any) -> None: ...

    with hub.transaction() as session:
        session.execute(text("INSERT INTO effects (job_id, claim) VALUES (0, 0)"))
        for what, value in BAD_ARGUMENTS.items():
            with pytest.raises((TypeError, ValueError)):
                keep.defer(value)
            assert session.scalar(text("SELECT 1")) == 1, what
        for what, options in BAD_OPTIONS.items():
            with pytest.raises((TypeError, ValueError)):
                keep.options(**options).defer(1)
            assert session.scalar(text("SELECT 1")) == 1, what
        kept = keep.defer(1)
    hub.close()

    assert cluster.one("SELECT count(*) FROM effects") == 1
    assert cluster.rows("SELECT id FROM taskhub.procrastinate_jobs") == [{"id": kept.id}]


def role(cluster: Cluster, name: str, *grants: str) -> str:
    """The url of the database for a new role that may do this and nothing else."""
    cluster.run(f"CREATE ROLE {name} LOGIN")
    cluster.run(f"GRANT USAGE ON SCHEMA taskhub TO {name}")
    for grant in grants:
        cluster.run(f"GRANT {grant} TO {name}")
    return cluster.url.replace("taskhub@", f"{name}@")


def test_a_role_that_may_only_insert_hears_of_a_taken_queueing_lock_by_name(
    cluster: Cluster, jobs: Jobs
) -> None:
    url = role(
        cluster,
        "enqueuer",
        "INSERT, SELECT (id) ON taskhub.procrastinate_jobs",
        "USAGE ON SEQUENCE taskhub.procrastinate_jobs_id_seq",
    )
    hub = Hub(settings=Settings(database_url=url))

    @hub.task(name="keep")
    def keep() -> None: ...

    first = keep.options(queueing_lock="a").defer()
    # Postgres hides the key from a role that may not read it, but not which constraint it was.
    with pytest.raises(IntegrityError) as caught:
        keep.options(queueing_lock="a").defer()
    hub.close()

    assert isinstance(caught.value.orig, psycopg.errors.UniqueViolation)
    assert "queueing_lock" in str(caught.value.orig.diag.constraint_name)
    assert jobs.status(first.id) == "todo"


def test_a_role_that_may_only_call_defer_job_can_defer_and_nothing_else(cluster: Cluster) -> None:
    url = role(cluster, "caller", "EXECUTE ON FUNCTION taskhub.defer_job")
    with psycopg.connect(db.conninfo(db.address(url)), autocommit=True) as connection:
        defer = "SELECT taskhub.defer_job('nothing', queueing_lock => 'a')"
        connection.execute(defer)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(defer)
        for statement in (
            "SELECT * FROM taskhub.procrastinate_jobs",
            "UPDATE taskhub.procrastinate_jobs SET priority = 1",
            "DELETE FROM taskhub.procrastinate_jobs",
            "SELECT * FROM taskhub.attempts",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)

    assert cluster.one("SELECT count(*) FROM taskhub.procrastinate_jobs") == 1
