"""What a question to the queue is answered with: counts, lines of lists, one job in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskhub.queue.jobs import Attempt
from taskhub.queue.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What one queue holds now.

    Attributes:
        oldest_ready_seconds: how long the oldest ready job could have been running already.
        workers: how many live workers serve it.
        estimated: which of the counts are estimates, beyond where counting ends.
    """

    queue: str
    ready: int
    scheduled: int
    running: int
    failed: int
    oldest_ready_seconds: float | None
    workers: int
    estimated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker process; a plain procrastinate worker is known by its id alone.

    Attributes:
        queues: None serves all.
        state: "live", "draining" where it takes no more jobs, "drained" where it has none left and
            stays, "lost", or why it stopped.
        overdue: its threads that go on past their timeout and its grace.
        deserted: its coroutines that swallowed their cancel and go on.
    """

    id: int
    name: str | None
    host: str | None
    pid: int | None
    version: str | None
    queues: list[str] | None
    concurrency: int | None
    state: str
    running: int
    overdue: int
    deserted: int
    started_at: datetime | None
    heartbeat_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a list; the error is the last one it met."""

    id: int
    task: str
    queue: str
    status: str
    attempts: int
    priority: int | None
    lock: str | None
    deferred_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    error_class: str | None
    error_message: str | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs that match, newest first.

    Attributes:
        before_id: where the next page begins; None where there are no older jobs to look at. A page
            may be short or empty and not the last: looking has its time.
        searched: only so many of the newest were searched, for arguments that no task declares in
            `index_args`; None: all.
    """

    jobs: list[JobLine]
    before_id: int | None
    searched: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job with its arguments, its result and its history, the first run first.

    Attributes:
        unique_key: the key it has; None where it never had one, or another job has it by now.
        version: of its arguments; None is 1.
        expires_at: it never starts after this; None once it succeeded.
        trace_id: the trace it was deferred in, 32 hex digits; None: nobody traced it, or it succeeded.
    """

    id: int
    task: str
    queue: str
    status: str
    attempts: int
    lost: int
    priority: int | None
    lock: str | None
    queueing_lock: str | None
    args: dict[str, Any] | None
    result: Any
    version: int | None
    expires_at: datetime | None
    abort_requested: bool
    deferred_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    unique_key: str | None
    trace_id: str | None
    history: list[Attempt]
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs stand where.

    Attributes:
        succeeded_lately: jobs, within the time that was asked for.
        failed_runs_lately: runs that failed, were retried or lost, within it.
        estimated: which of the counts are estimates, as in QueueState.
        is_more_lately: the last two are of the first MOST_RUNS runs that were met, not of all.
    """

    ready: int
    scheduled: int
    running: int
    failed: int
    cancelled: int
    aborted: int
    succeeded_lately: int
    failed_runs_lately: int
    is_more_lately: bool = False
    estimated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """Runs that went on in a paused process while another worker ran their job again.

    Attributes:
        longest_seconds: from the start of the later run to the moment when the earlier one was
            refused; None: there was none.
    """

    runs: int
    longest_seconds: float | None


@dataclass(frozen=True, slots=True)
class TaskCount:
    """Waiting jobs of one task in one queue.

    Attributes:
        version: of their arguments, where they are counted by it; else None.
        newest_version: up to which the live workers of the queue know the task; None: they do not.
    """

    queue: str
    task: str
    jobs: int
    version: int | None = None
    newest_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key with waiting jobs that its breaker or its rate holds back.

    Attributes:
        opened_at: since when its breaker lets none or one start; None: it is closed.
        open_until: a job tries it after this.
        lacks_tokens: whether the first of its jobs waits for tokens, as of a worker's last look.
    """

    name: str
    opened_at: datetime | None
    open_until: datetime | None
    open_reason: str | None
    lacks_tokens: bool
