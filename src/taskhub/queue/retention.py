"""What is kept and for how long: the history by partitions, dead letters and registries by rows.

Nothing here holds up a job: rows go in short transactions of a thousand, and a partition leaves the
history without a lock that an ack would wait for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier

from taskhub import db
from taskhub.queue import sql

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.retention")

EVERY_SECONDS = 3600.0
BATCH = 1000
# How long a partition waits for those who still read the history, before it is left for the next time.
PATIENCE_SECONDS = 5.0
DAY_SECONDS = 86_400.0


@dataclass(slots=True, kw_only=True)
class Pruned:
    """How much was deleted, or would be.

    Attributes:
        partitions: parts of the history, of a million job ids each.
        waiting: partitions whose time has come while somebody reads the history; the next run, or
            the one after it, drops them.
        size_bytes: what the partitions took on disk.
        jobs: dead letters, and jobs that were cancelled or aborted.
        workers: lines of the registry that no run in the history points at.
        unique_keys: those that keep no job out any more.
        audit: changes of longer than `audit_days` ago.
        searched_args: jobs whose arguments were kept to search by.
    """

    partitions: int = 0
    waiting: int = 0
    size_bytes: int = 0
    jobs: int = 0
    events: int = 0
    progress: int = 0
    cancel_requests: int = 0
    overlaps: int = 0
    workers: int = 0
    unique_keys: int = 0
    audit: int = 0
    searched_args: int = 0


Progress = Callable[[Pruned], None]


def prune(hub: Hub, *, dry_run: bool = False, progress: Progress | None = None) -> Pruned:
    """Delete what is older than `history_days`, `dead_letter_days` and `audit_days`, or count it.

    Takes a connection of its own, in no transaction of the caller's. `progress` hears the numbers so
    far after every step. Broken off anywhere, the next call goes on. In a dry run a partition that
    only the dead letters of its range keep alive is not counted.

    Raises:
        psycopg.errors.InsufficientPrivilege: the tables belong to another role.
    """
    done = Pruned()
    with psycopg.connect(
        db.conninfo(hub.url),
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=10,
        row_factory=dict_row,
    ) as connection:
        run = _Run(hub, connection, done, progress or (lambda _: None), dry_run)
        run.delete("prune_jobs", "jobs")
        run.delete("prune_events", "events")
        run.delete("prune_progress", "progress")
        run.delete_notes()
        run.drop_partitions()
        run.delete("prune_workers", "workers")
        run.delete("prune_keys", "unique_keys")
        run.delete("prune_audit", "audit")
        run.delete("prune_job_args", "searched_args")
    return done


def prune_if_due(hub: Hub) -> Pruned | None:
    """`prune`, once an hour by one worker of the fleet; None where it is not this one's turn."""
    if hub.write_one("take_turn", name="prune", every_seconds=EVERY_SECONDS) is None:
        return None
    done = prune(hub)
    logger.info(
        "pruned",
        extra={"jobs": done.jobs, "partitions": done.partitions, "waiting": done.waiting},
    )
    return done


class _Run:
    """One pass over everything."""

    def __init__(
        self,
        hub: Hub,
        connection: psycopg.Connection[DictRow],
        done: Pruned,
        progress: Progress,
        dry_run: bool,
    ) -> None:
        self._schema = hub.settings.schema
        self._connection = connection
        self._done = done
        self._progress = progress
        self._dry_run = dry_run
        self._ages = {
            "history_seconds": hub.settings.history_days * DAY_SECONDS,
            "dead_letter_seconds": hub.settings.dead_letter_days * DAY_SECONDS,
            "audit_seconds": hub.settings.audit_days * DAY_SECONDS,
        }

    def delete(self, statement: str, what: str) -> None:
        """Row by row in the order of the ids; each batch is a transaction of its own."""
        after_id = 0
        while (row := self._ask(statement, after_id=after_id, limit=BATCH))["last_id"] is not None:
            after_id = row["last_id"]
            self._count(what, row["pruned"])

    def delete_notes(self) -> None:
        """What was asked of runs that are over, and what was seen of runs that overlapped."""
        self._count("cancel_requests", self._ask("prune_cancels")["pruned"])
        self._count("overlaps", self._ask("prune_overlaps")["pruned"])

    def drop_partitions(self) -> None:
        found = self._connection.execute(sql.load("list_partitions", self._schema)).fetchall()
        # A partition that is being made ahead has a higher number than any that is attached.
        last = max((n for n, p in enumerate(found) if p["state"] == "attached"), default=0)
        # Two cannot be pending at once: what was begun is brought to its end first.
        for part in sorted(found[:last], key=lambda part: part["state"] == "attached"):
            if part["state"] == "attached" and not self._is_over(part):
                continue
            if self._dry_run or self._drop(part):
                self._count("size_bytes", part["size_bytes"], tell=False)
                self._count("partitions", 1)
            else:
                self._count("waiting", 1)

    def _is_over(self, part: DictRow) -> bool:
        bounds = {"first_id": part["first_id"], "end_id": part["end_id"]}
        return bool(self._ask("partition_is_over", **bounds)["is_over"])

    def _drop(self, part: DictRow) -> bool:
        """Whether the partition is gone; each step is safe to repeat."""
        name, state = part["name"], part["state"]
        try:
            if state == "attached":
                with self._patience():
                    self._alter("ALTER TABLE {parent} DETACH PARTITION {part} CONCURRENTLY", name)
            with self._connection.transaction():
                self._connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", [f"{PATIENCE_SECONDS}s"]
                )
                if state == "pending":
                    self._alter("ALTER TABLE {parent} DETACH PARTITION {part} FINALIZE", name)
                self._alter("DROP TABLE {part}", name)
        except (
            errors.QueryCanceled,
            errors.LockNotAvailable,
            errors.ObjectNotInPrerequisiteState,  # another one is pending
        ) as error:
            logger.info("partition waits for readers", extra={"part": name, "reason": str(error)})
            return False
        return True

    def _alter(self, statement: LiteralString, name: str) -> None:
        self._connection.execute(
            SQL(statement).format(
                parent=Identifier(self._schema, "attempts"), part=Identifier(self._schema, name)
            )
        )

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Break off what takes too long, from here.

        DETACH .. CONCURRENTLY runs in no transaction, so there is no SET LOCAL for it, and a plain
        SET through PgBouncer would hit somebody else's connection.
        """
        alarm = threading.Timer(PATIENCE_SECONDS, self._break_off)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()
            alarm.join()  # else it could hit the next statement

    def _break_off(self) -> None:
        with suppress(psycopg.Error):  # the connection is gone, and the statement with it
            self._connection.cancel_safe(timeout=PATIENCE_SECONDS)

    def _ask(self, statement: str, **parameters: Any) -> DictRow:
        given = self._ages | {"dry_run": self._dry_run} | parameters
        row = self._connection.execute(sql.load(statement, self._schema), given).fetchone()
        if row is None:
            raise AssertionError(f"{statement} gives one row always")
        return row

    def _count(self, what: str, number: int, *, tell: bool = True) -> None:
        setattr(self._done, what, getattr(self._done, what) + number)
        if tell:
            self._progress(self._done)
