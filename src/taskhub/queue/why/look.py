"""The facts about one job, read on demand and all of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping

from taskhub.queue import sql

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# What a job waits for before it is ready, see gate_of_v1 and set_aside_v1.
READY, FUTURE, LOCK, LIMIT, UNKNOWN_TASK, SET_ASIDE, FAIR = range(7)
# Where counting stops.
MOST = 10_000
MOST_RUNS = 20_000
RATE_SECONDS = 300.0
# A job that another one waits for is explained too, and that is all: no chains.
DEEPEST = 1
# An index is walked in its order and left at LIMIT. Else the planner was seen to read all jobs behind a
# lock, to sort them, and to take ten thousand.
OFF = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "jit")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a job is where it is.

    Attributes:
        name: a word for programs: "running", "locked", "queue_paused" …
        clause: what a sentence says of the job behind its name: "runs on worker 4 …".
        facts: the proof, as JSON can hold it.
    """

    name: str
    clause: str
    facts: dict[str, Any] = field(default_factory=dict)


class Look:
    """One job and what bears on it; each fact is asked for once, and only if a check wants it."""

    def __init__(
        self,
        hub: Hub,
        connection: Connection,
        job_id: int,
        checks: Sequence[Callable[[Look], Reason | None]],
        *,
        depth: int = 0,
    ) -> None:
        self.hub = hub
        self.job_id = job_id
        self.depth = depth
        self._connection = connection
        self._checks = checks

    def reasons(self) -> list[Reason]:
        """What the checks found, in their order."""
        return [reason for check in self._checks if (reason := check(self)) is not None]

    def rows(self, statement: str, **parameters: Any) -> list[RowMapping]:
        """The rows of one of the queue's statements, at this moment."""
        query = sql.load(statement, self.hub.settings.schema)
        return list(self._connection.exec_driver_sql(query, parameters).mappings())

    def beside(self, job_id: int) -> Look:
        """A look at a job that this one waits for."""
        return Look(self.hub, self._connection, job_id, self._checks, depth=self.depth + 1)

    def is_at(self, gate: int) -> bool:
        """Whether the job waits at this gate."""
        return bool(self.job["status"] == "todo" and self.job["gate"] == gate)

    def other(self, job_id: int, facts: dict[str, Any], whose: str = "holder") -> str:
        """`job 7, which …`: a job that this one waits for, and one level deeper what becomes of it.

        Its status and its first reason go to the facts, as `holder_status` and `holder_reason`.
        """
        if self.is_deep:
            return f"job {job_id}"
        beside = self.beside(job_id)
        if beside.found is None:
            return f"job {job_id}"
        facts[f"{whose}_status"] = beside.job["status"]
        reason = next(iter(beside.reasons()), None)
        if reason is None:
            return f"job {job_id}"
        facts[f"{whose}_reason"] = {"reason": reason.name, "facts": reason.facts}
        return f"job {job_id}, which {reason.clause}"

    @property
    def is_deep(self) -> bool:
        """Whether this is a job that another one waits for: what it waits for is named only."""
        return self.depth >= DEEPEST

    @cached_property
    def found(self) -> RowMapping | None:
        """The job, None if there is none of this id."""
        return next(iter(self.rows("why_job", job_id=self.job_id)), None)

    @property
    def job(self) -> RowMapping:
        """The job, where it is known that there is one."""
        if self.found is None:
            raise LookupError(f"no job {self.job_id}")
        return self.found

    @cached_property
    def last_run(self) -> RowMapping | None:
        """The last run that is over, and the last error."""
        return next(iter(self.rows("why_last_run", job_id=self.job_id)), None)

    @cached_property
    def holder(self) -> RowMapping:
        """The worker that holds the job."""
        job = self.job
        [row] = self.rows(
            "why_worker", worker_id=job["worker_id"], job_id=self.job_id, claim=job["claim"]
        )
        return row

    @cached_property
    def workers(self) -> RowMapping:
        """The live workers that serve the job's queue."""
        job = self.job
        [row] = self.rows(
            "why_workers",
            queue=job["queue"], task=job["task"], version=job["version"],
            is_set_aside=job["gate"] == UNKNOWN_TASK,
        )  # fmt: skip
        return row

    @cached_property
    def lock(self) -> RowMapping:
        """Who has the job's lock, and who goes first behind it."""
        job = self.job
        [row] = self.rows(
            "why_lock",
            lock=job["lock"], priority=job["priority"], is_strict=job["is_strict"],
            job_id=self.job_id, most=MOST,
        )  # fmt: skip
        return row

    @cached_property
    def limit(self) -> RowMapping:
        """The rule of the job's limit, what has become of it, and who goes first behind it."""
        job = self.job
        [row] = self.rows(
            "why_limit",
            key=job["limit_key"], priority=job["priority"], job_id=self.job_id, most=MOST,
        )  # fmt: skip
        return row

    @cached_property
    def rules(self) -> dict[str, RowMapping]:
        """What is in force for the job's queue and task: by "queue" and "task"."""
        rows = self.rows("why_rules", queue=self.job["queue"], task=self.job["task"])
        return {row["kind"]: row for row in rows}

    @cached_property
    def ahead(self) -> int:
        """Ready jobs of the queue that are claimed first; MOST + 1 stands for more."""
        job = self.job
        [row] = self.rows(
            "why_ahead",
            queue=job["queue"], priority=job["priority"], place=job["place"], most=MOST,
        )  # fmt: skip
        return int(row["jobs"])

    @cached_property
    def jobs_per_second(self) -> float | None:
        """How fast runs of the queue ended in the last minutes; None if none did."""
        # The index of the history by time is a BRIN, which is read in no other way.
        self._connection.exec_driver_sql("SET LOCAL enable_bitmapscan = on")
        [row] = self.rows(
            "why_rate", queue=self.job["queue"], since_seconds=RATE_SECONDS, most=MOST_RUNS
        )
        self._connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        # One run says nothing of a pace.
        if row["jobs"] < 2:
            return None
        return float(row["jobs"] / max(row["seconds"], 0.1))


@contextmanager
def looking(
    hub: Hub, job_id: int, checks: Sequence[Callable[[Look], Reason | None]]
) -> Iterator[Look]:
    """A look whose facts are all of one moment, on a connection of its own."""
    with hub.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        for setting in OFF:
            connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        yield Look(hub, connection, job_id, checks)
