"""Every metric that taskhub exports: its name, kind, labels and meaning, in one place.

The reference in the documentation is made of it, and boards and alert rules may use no other names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric: `name` as it is exposed, a counter's with its _total."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that a query may use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}{end}" for end in ("_bucket", "_count", "_sum"))
        return (self.name,)


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=name, kind="counter", meaning=meaning, labels=labels)


def _gauge(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=name, kind="gauge", meaning=meaning, labels=labels)


def _histogram(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=name, kind="histogram", meaning=meaning, labels=labels)


JOB = ("queue", "task")

DEFERRED = _counter(
    "taskhub_jobs_deferred_total", "Jobs deferred by this process, rolled back or not.", *JOB
)
STARTED = _counter("taskhub_jobs_started_total", "Attempts that began.", *JOB)
FINISHED = _counter(
    "taskhub_jobs_finished_total",
    "Attempts that ended and are stored: succeeded, failed (for good), retried, snoozed, cancelled.",
    *JOB,
    "outcome",
)
RETRIES = _counter("taskhub_job_retries_total", "Attempts that failed and will be retried.", *JOB)
DURATION = _histogram("taskhub_job_duration_seconds", "How long attempts ran.", *JOB, "outcome")
TASK_DURATION = _histogram("task_duration_seconds", "How long attempts ran, by task alone.", "task")
WAIT = _histogram(
    "taskhub_job_wait_seconds", "From when a job was due to when a worker claimed it.", "queue"
)
RESCUES = _counter(
    "taskhub_rescues_total", "Jobs that this process gave back for a dead worker.", "queue"
)
UNKNOWN = _counter(
    "taskhub_unknown_tasks_total", "Times it was told that no live worker knows a task.", "queue"
)
LAST_SUCCESS = _gauge(
    "taskhub_last_success_timestamp_seconds", "When a job of the task last succeeded here.", "task"
)
SLOTS = _gauge("taskhub_worker_slots", "Jobs that this worker runs at once at most.")
BUSY = _gauge("taskhub_worker_slots_busy", "Jobs that run here now.")
READY = _gauge("taskhub_worker_takes_jobs", "1 while it claims jobs, 0 while it starts or drains.")
FETCH = _histogram(
    "taskhub_fetch_duration_seconds", "Round trips that store what ended and claim what fits."
)
DB_ERRORS = _counter(
    "taskhub_db_errors_total", "Times the database was lost or refused a statement of the worker."
)
BUILD = _gauge("taskhub_build_info", "1; which version runs here.", "version", "python")

WORKER = (
    DEFERRED, STARTED, FINISHED, RETRIES, DURATION, TASK_DURATION, WAIT, RESCUES, UNKNOWN,
    LAST_SUCCESS, SLOTS, BUSY, READY, FETCH, DB_ERRORS, BUILD,
)  # fmt: skip

UP = _gauge("taskhub_cluster_up", "1 if the database answered; without it the others are left out.")
QUEUE_JOBS = _gauge(
    "taskhub_queue_jobs",
    "Jobs by state: ready, scheduled (for later), running, failed (dead letters).",
    "queue",
    "state",
)
OLDEST = _gauge(
    "taskhub_queue_oldest_ready_age_seconds",
    "How long the oldest ready job has been due; 0 if none is.",
    "queue",
)
PAUSED = _gauge("taskhub_queue_paused", "1 while the queue is paused.", "queue")
QUEUE_WORKERS = _gauge("taskhub_queue_workers", "Live workers that serve the queue.", "queue")
QUEUE_SLOTS = _gauge(
    "taskhub_queue_slots",
    "Slots of those workers; a worker of several queues counts in each.",
    "queue",
)
QUEUE_BUSY = _gauge(
    "taskhub_queue_slots_busy", "How many of those slots run a job, of whatever queue.", "queue"
)
WORKERS = _gauge(
    "taskhub_workers", "Workers in the registry: live, draining, drained, lost.", "state"
)
STALLED = _gauge(
    "taskhub_jobs_stalled", "Jobs held by workers that are lost and not yet given back."
)
HEARTBEAT = _gauge(
    "taskhub_worker_heartbeat_age_seconds",
    "Since the oldest heartbeat of a worker, by name.",
    "name",
)
CRON_LAG = _gauge(
    "taskhub_cron_lag_seconds", "How long the next tick of a schedule is overdue; 0 if it is not.", "cron"
)  # fmt: skip
SCHEMA = _gauge(
    "taskhub_schema_version_info", "1; the revision of the queue's schema in the database.", "revision"
)  # fmt: skip
BEHIND = _gauge(
    "taskhub_schema_behind",
    "1 if the database lacks a migration that this version of taskhub needs.",
)
TABLE_BYTES = _gauge("taskhub_table_bytes", "Size of a table with its indexes.", "table")
DEAD_TUPLES = _gauge(
    "taskhub_dead_tuples", "Dead rows of a table, as the server last counted.", "table"
)
TABLE_ROWS = _gauge("taskhub_table_rows", "Live rows of a table, as the server estimates.", "table")
LOOK = _gauge("taskhub_cluster_look_seconds", "How long it took to ask the database for these.")

CLUSTER = (
    UP, QUEUE_JOBS, OLDEST, PAUSED, QUEUE_WORKERS, QUEUE_SLOTS, QUEUE_BUSY, WORKERS, STALLED,
    HEARTBEAT, CRON_LAG, SCHEMA, BEHIND, TABLE_BYTES, DEAD_TUPLES, TABLE_ROWS, LOOK,
)  # fmt: skip
