"""Jobs and workers put where a test wants them, by the table, and why a job is there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from taskhub import Hub, db
from taskhub.queue import insight, sql


@contextmanager
def connected(hub: Hub) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        yield connection


def change(hub: Hub, statement: str, *parameters: Any) -> None:
    with connected(hub) as connection:
        connection.execute(statement.encode(), parameters)


def new_worker(
    hub: Hub,
    *,
    queues: list[str] | None = None,
    tasks: tuple[str, ...] = ("send",),
    crons: tuple[str, ...] = (),
    slots: int = 2,
    versions: dict[str, int] | None = None,
    lease_seconds: float = 30.0,
) -> int:
    """A worker that lives by the table, and does nothing."""
    asked = {
        "host": "box", "pid": 77, "name": "w", "version": "0", "queues": queues, "tasks": list(tasks),
        "crons": list(crons), "versions": json.dumps(versions or {}), "concurrency": slots,
        "lease_seconds": lease_seconds,
    }  # fmt: skip
    with connected(hub) as connection:
        row = connection.execute(sql.load("register_worker", "taskhub"), asked).fetchone()
    assert row is not None
    return int(row[0])


def run_by(hub: Hub, worker_id: int | None, *job_ids: int) -> None:
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET status = 'doing', gate = 0, worker_id = %s, "
        "claim = claim + 1, started_at = now() - interval '3 min' WHERE id = ANY(%s)",
        worker_id,
        list(job_ids),
    )


def gone(hub: Hub, worker_id: int) -> None:
    change(
        hub,
        "UPDATE taskhub.procrastinate_workers SET last_heartbeat = now() - interval '5 min' WHERE id = %s",
        worker_id,
    )


def names(hub: Hub, job_id: int) -> list[str]:
    return [reason.name for reason in insight.why(hub, job_id).reasons]
