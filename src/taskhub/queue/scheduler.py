"""The scheduler in a worker: each tick of a schedule gets its job, once for the whole fleet."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors
from psycopg.rows import DictRow, dict_row

from taskhub import db
from taskhub.queue import sql
from taskhub.queue.crons import DeclaredCron, declared
from taskhub.queue.defer import Deferrer
from taskhub.queue.retries import Backoff
from taskhub.queue.rows import NewJob

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.scheduler")
# A machine that was suspended waits too long, and somebody may have moved the database's clock.
LONGEST_REST_SECONDS = 60.0
STOP_SECONDS = 5.0
RECONNECT = Backoff(first_seconds=0.5, ceiling_seconds=30.0, jitter=0.5)

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class Due:
    """Ticks of one schedule that get jobs; `mark` moves to `until` if it still is what was seen."""

    cron: DeclaredCron
    mark: datetime
    until: datetime
    ticks: Sequence[datetime]


class Scheduler:
    """Defers what is due by the database's clock; any number of them make one job for each tick.

    It runs in a thread of its own on a connection of its own: a task that blocks the event loop
    holds up no tick. Between two ticks it is silent, but for one look a minute.

    Args:
        now: a clock for tests, in place of the database's.
    """

    def __init__(self, hub: Hub, *, now: datetime | None = None) -> None:
        self.now = now
        self._hub = hub
        self._schema = hub.settings.schema
        self._deferrer = Deferrer(hub.url, hub.settings)
        self._crons = {(cron.task.name, cron.id): cron for cron in declared(hub)}
        self._is_registered = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskhub-scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread; without schedules there is none."""
        if self._crons:
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait a few seconds for the tick it may be storing."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        failures = 0
        connection: Connection | None = None
        while not self._stopped.is_set():
            try:
                connection = connection or self.connect()
                seconds = self.round(connection)
                failures = 0
            except Exception as error:  # the next round may do better, and the jobs go on meanwhile
                failures += 1
                seconds = RECONNECT.seconds_before(failures)
                is_lost = isinstance(error, psycopg.OperationalError)
                logger.warning(
                    "schedules could not be looked at", exc_info=None if is_lost else error
                )
                if connection is not None:
                    connection.close()
                connection = None
            self._stopped.wait(seconds)
        if connection is not None:
            connection.close()

    def connect(self) -> Connection:
        """A connection of its own, in autocommit."""
        return psycopg.connect(
            db.conninfo(self._hub.url),
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=10,
            tcp_user_timeout=30_000,
            row_factory=dict_row,
        )

    def round(self, connection: Connection) -> float:
        """Defer what is due; the seconds until something is due again."""
        due, seconds = self.look(connection)
        for one in due:
            try:
                self.store(connection, one)
            except Exception as error:
                if connection.closed:
                    raise
                seconds = min(seconds, RECONNECT.ceiling_seconds)
                # One that is refused, or locked by somebody, must not hold up the others.
                logger.warning("tick not deferred", extra={"cron": one.cron.name}, exc_info=error)
        return seconds

    def look(self, connection: Connection) -> tuple[list[Due], float]:
        """What is due now, and the seconds until more is."""
        if not self._is_registered:
            self._register(connection)
        query, keys = sql.load("read_crons", self._schema), list(self._crons)
        asked = {"tasks": [k[0] for k in keys], "ids": [k[1] for k in keys], "now": self.now}
        rows = connection.execute(query, asked).fetchall()
        # Somebody may have deleted rows: they begin anew, at the next look.
        self._is_registered = len(rows) == len(self._crons)
        due: list[Due] = []
        seconds = LONGEST_REST_SECONDS if self._is_registered else 1.0
        for row in rows:
            cron = self._crons[row["task_name"], row["cron_id"]]
            now, mark = row["now"], row["mark"]
            if not row["is_paused"] and (found := _due(cron, mark, now)):
                due.append(found)
            following = cron.schedule.next_after(max(mark, now))
            if following is not None:
                # A moment late, each worker another one: the first has stored the tick by then.
                late = random.uniform(0.001, 0.05)  # noqa: S311 - no secret depends on it
                seconds = min(seconds, (following - now).total_seconds() + late)
        return due, seconds

    def store(self, connection: Connection, due: Due) -> list[int]:
        """Move the mark and insert the jobs, in one transaction; no ids where another worker did.

        Raises:
            LockNotAvailable: another transaction has held the row for seconds.
        """
        name, cron_id = due.cron.task.name, due.cron.id
        jobs = [due.cron.new_job(tick) for tick in due.ticks]
        with connection.transaction():
            connection.execute(sql.load("bound_transaction", self._schema))
            moved = connection.execute(
                sql.load("move_mark", self._schema),
                {
                    "task_name": name,
                    "cron_id": cron_id,
                    "mark": due.mark,
                    "until": due.until,
                    "now": self.now,
                },
            ).fetchone()
            if moved is None:
                return []
            ids = self._insert(connection, jobs)
            if ids:
                connection.execute(
                    sql.load("note_cron_job", self._schema),
                    {"task_name": name, "cron_id": cron_id, "job_id": ids[-1]},
                )
        for job_id in ids:
            self._hub.tell_deferred(job_id, name, jobs[0].common.queue_name)
        skipped = len(jobs) - len(ids)
        logger.info(
            "ticks deferred", extra={"cron": due.cron.name, "jobs": len(ids), "skipped": skipped}
        )
        return ids

    def _insert(self, connection: Connection, jobs: Sequence[NewJob]) -> list[int]:
        ids: list[int] = []
        if not any(job.queueing_lock for job in jobs):
            # A tick whose job is refused, because one with its unique key lives, is dealt with.
            return self._deferrer.insert(connection, jobs).new() if jobs else ids
        for job in jobs:
            try:
                with connection.transaction():
                    ids += self._deferrer.insert(connection, [job]).new()
            except errors.UniqueViolation:
                pass  # the job of an earlier tick still waits, which is what a queueing lock is for
        return ids

    def _register(self, connection: Connection) -> None:
        """Enter the schedules that are new, from now on; the marks of the others stay."""
        rows = [
            {
                "task_name": cron.task.name,
                "cron_id": cron.id,
                "expression": cron.schedule.text,
                "zone": cron.schedule.zone,
                "catch_up": str(cron.catch_up),
                "jitter_seconds": cron.jitter_seconds,
            }
            for cron in self._crons.values()
        ]
        connection.execute(
            sql.load("register_crons", self._schema), {"crons": json.dumps(rows), "now": self.now}
        )


def _due(cron: DeclaredCron, mark: datetime, now: datetime) -> Due | None:
    # The mark goes to the newest tick, also where catch_up leaves all of them out.
    newest = cron.newest(mark, now)
    return Due(cron, mark, newest[0], cron.due(mark, now)) if newest else None


@contextmanager
def beside(hub: Hub, *, is_wanted: bool) -> Iterator[None]:
    """A scheduler that runs as long as the block does."""
    scheduler = Scheduler(hub)
    if is_wanted:
        scheduler.start()
    try:
        yield
    finally:
        scheduler.stop()
