"""Where a job waits, whichever way it came to wait: all of them must agree."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue import actions, sql
from taskhub.queue.jobs import Job

FUTURE = datetime.now(UTC) + timedelta(days=1)
# What is said of a job, and the gates at which it waits before and at its time.
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "plain": ({}, 0),
    "locked": ({"lock": "a"}, 2),
    "strict": ({"lock": "a", "strict": True}, 2),
    "limited": ({"limit": "x", "at_most": 1}, 3),
    "locked and limited": ({"lock": "a", "limit": "x", "at_most": 1}, 2),
    "fair": ({"fair_key": "tenant"}, 6),
    "expiring": ({"expires": 9e6, "lock": "a"}, 2),
}


def do(hub: Hub, query: str, **given: Any) -> Any:
    with hub.engine.begin() as connection:
        result = connection.execute(text(query), given)
        return result.scalar() if result.returns_rows else None


def gate(hub: Hub, job: Job[Any]) -> int:
    found = do(
        hub,
        "SELECT gate FROM taskhub.procrastinate_jobs WHERE id = :id AND status = 'todo'",
        id=job.id,
    )
    return int(found)


def claim(hub: Hub, job: Job[Any], worker_id: int) -> None:
    do(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET status = 'doing', gate = 0, claim = 1, worker_id = :by "
        "WHERE id = :id",
        id=job.id,
        by=worker_id,
    )


def our_worker(hub: Hub) -> int:
    worker_id = do(hub, "INSERT INTO taskhub.procrastinate_workers DEFAULT VALUES RETURNING id")
    do(
        hub,
        "INSERT INTO taskhub.workers (id, host, pid, name, version, tasks, concurrency, lease_seconds) "
        "VALUES (:id, 'h', 1, 'n', '0', '{}', 1, 60)",
        id=worker_id,
    )
    return int(worker_id)


def told(hub: Hub, job: Job[Any], outcome: str, delay_seconds: float) -> None:
    worker_id = our_worker(hub)
    claim(hub, job, worker_id)
    stored = do(
        hub,
        "SELECT stored FROM taskhub.outcomes_v1(:by, json_build_array(json_build_object("
        "'id', CAST(:id AS bigint), 'claim', 1, 'outcome', CAST(:outcome AS text), "
        "'delay_seconds', CAST(:delay AS float), 'drop_queueing_lock', false))\\:\\:text)",
        by=worker_id,
        id=job.id,
        outcome=outcome,
        delay=delay_seconds,
    )
    assert stored == [job.id]


def rescued(hub: Hub, job: Job[Any]) -> None:
    worker_id = our_worker(hub)
    claim(hub, job, worker_id)
    do(hub, "UPDATE taskhub.procrastinate_workers SET last_heartbeat = now() - interval '1 day'")
    with hub.engine.begin() as connection:
        asked = {"lease_seconds": 0.0, "worker_ids": None, "what": "x"}
        connection.exec_driver_sql(sql.load("rescue_jobs", "taskhub"), asked)


def retried_by_hand(hub: Hub, job: Job[Any]) -> None:
    job.cancel()
    actions.retry(hub, [job.id])


def retried_by_a_plain_client(hub: Hub, job: Job[Any], at: datetime | None) -> None:
    do(hub, "UPDATE taskhub.procrastinate_jobs SET status = 'failed' WHERE id = :id", id=job.id)
    do(
        hub,
        "SELECT taskhub.procrastinate_retry_job_v2(:id, coalesce(:at, now()), NULL, NULL, NULL)",
        id=job.id,
        at=at,
    )


def came_due(hub: Hub, job: Job[Any]) -> None:
    told(hub, job, "retried", 3600)
    do(hub, "UPDATE taskhub.procrastinate_jobs SET scheduled_at = now() - interval '1 second'")
    do(hub, "SELECT taskhub.promote_due_v1('-infinity')")


AT_ONCE: dict[str, Callable[[Hub, Job[Any]], None]] = {
    "deferred": lambda *_: None,
    "retried": lambda hub, job: told(hub, job, "retried", 0),
    "interrupted": lambda hub, job: told(hub, job, "interrupted", 0),
    "rescued": rescued,
    "retried by hand": retried_by_hand,
    "retried by a plain client": lambda hub, job: retried_by_a_plain_client(hub, job, None),
    "come due": came_due,
}
LATER: dict[str, Callable[[Hub, Job[Any]], None]] = {
    "retried": lambda hub, job: told(hub, job, "retried", 3600),
    "snoozed": lambda hub, job: told(hub, job, "snoozed", 3600),
    "retried by a plain client": lambda hub, job: retried_by_a_plain_client(hub, job, FUTURE),
}


def test_every_way_back_ends_at_the_gate_of_the_jobs_kind(hub: Hub) -> None:
    @hub.task
    def task() -> None: ...

    found: dict[tuple[str, str], int] = {}
    expected: dict[tuple[str, str], int] = {}
    for kind, (options, wanted) in KINDS.items():
        for way, return_it in AT_ONCE.items():
            job = task.options(**options).defer()
            return_it(hub, job)
            found[kind, way], expected[kind, way] = gate(hub, job), wanted
            do(hub, "DELETE FROM taskhub.procrastinate_jobs")
        for way, return_it in LATER.items():
            job = task.options(**options).defer()
            return_it(hub, job)
            found[kind, f"{way} for later"], expected[kind, f"{way} for later"] = gate(hub, job), 1
            do(hub, "DELETE FROM taskhub.procrastinate_jobs")
        dated = task.options(**{**options, "at": FUTURE}).defer()
        assert gate(hub, dated) == 1
        do(hub, "DELETE FROM taskhub.procrastinate_jobs")

    assert found == expected


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_job_waits_at_its_own_gate_and_goes_on_behind_its_limit(
    hub: Hub, kind: str
) -> None:
    @hub.task(name="task")
    def task() -> None: ...

    options, _ = KINDS[kind]
    job = task.options(**options).defer()
    told(hub, job, "unknown", 0)
    assert gate(hub, job) == 4

    worker_id = our_worker(hub)
    do(hub, "UPDATE taskhub.workers SET tasks = '{task}' WHERE id = :id", id=worker_id)
    do(hub, "SELECT taskhub.release_known_v1(:id, NULL, 10)", id=worker_id)

    # It has its lock already.
    assert gate(hub, job) == (3 if "limit" in options else 0)
