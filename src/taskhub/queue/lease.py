"""A worker's lease: registered once, renewed from a thread of its own, and what happens to the dead."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import psycopg

from taskhub.queue import sql

logger = logging.getLogger("taskhub.lease")

# Monotonic time stands still while a laptop sleeps; boot time does not, and others' clocks went on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Who a worker is to the database; `hub_id` starts every idempotency key."""

    worker_id: int
    hub_id: str


async def register(
    connection: psycopg.AsyncConnection[Any],
    schema: str,
    *,
    name: str,
    queues: Sequence[str] | None,
    tasks: Sequence[str],
    concurrency: int,
    lease_seconds: float,
    crons: Sequence[str] = (),
    versions: Mapping[str, int] | None = None,
) -> Registration:
    """Enter this process among the living, under an id that no worker had before.

    `versions` are those of the tasks whose version is not 1.
    """
    cursor = await connection.execute(
        sql.load("register_worker", schema),
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "name": name,
            "version": version("taskhub"),
            "queues": list(queues) if queues is not None else None,
            "tasks": sorted(tasks),
            "crons": sorted(crons),
            "versions": json.dumps(dict(versions or {})),
            "concurrency": concurrency,
            "lease_seconds": lease_seconds,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError(f"schema {schema} has no hub row; run `taskhub db migrate`")
    return Registration(worker_id=row[0], hub_id=str(row[1]))


class Heartbeat:
    """Renews a lease four times in its length, on a connection of its own, in a thread of its own.

    With each renewal it hears whether the worker is asked to drain; both callbacks are called in it.

    The thread is apart from the event loop, which a task may block, and the connection apart from
    the one that jobs use, which may be slow.
    """

    def __init__(
        self,
        conninfo: str,
        schema: str,
        worker_id: int,
        lease_seconds: float,
        *,
        lost: Callable[[], None],
        asked_to_drain: Callable[[str], None],
        counts: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self._conninfo = conninfo
        self._query = sql.load("heartbeat", schema)
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._lost = lost
        self._asked_to_drain = asked_to_drain
        self._report_query = sql.load("report_overdue", schema)
        self._counts = counts
        self._reported = (0, 0)
        self._stopped = threading.Event()
        self._asked = threading.Event()
        self._renewed = time.clock_gettime(_CLOCK)
        self._awake_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="taskhub-heartbeat", daemon=True)

    def start(self) -> None:
        """Start renewing; the registration counts as the first renewal."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; call it after the last outcome was stored. Waits for nothing."""
        self._stopped.set()
        self._asked.set()

    @property
    def is_over(self) -> bool:
        """Whether others may have taken the jobs already, as far as this process can tell."""
        # Half of the margin between two renewals is left for the writes that are under way.
        return time.clock_gettime(_CLOCK) - self._renewed > self._lease_seconds * 0.9

    @property
    def is_late(self) -> bool:
        """Whether half the lease has passed: after a pause or a suspend, renew before writing."""
        return time.clock_gettime(_CLOCK) - self._renewed > self._lease_seconds * 0.5

    @property
    def awake_seconds(self) -> float | None:
        """How long this process has been back from its last pause; None: it never stood still."""
        awake_at = self._awake_at
        return None if awake_at is None else time.clock_gettime(_CLOCK) - awake_at

    def hurry(self) -> None:
        """Renew now instead of at the next turn."""
        self._asked.set()

    def _run(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while True:
            self._wait()
            if self._stopped.is_set():
                break
            try:
                connection = connection or self._connect()
                asked = time.clock_gettime(_CLOCK)
                alive = connection.execute(self._query, {"worker_id": self._worker_id}).fetchone()
                if alive is None:
                    break
                self._renewed = asked
                if alive[1] is not None:
                    self._asked_to_drain(alive[1])
                self._report(connection)
            except psycopg.Error as error:
                logger.warning(
                    "heartbeat failed", extra={"error": str(error), "worker_id": self._worker_id}
                )
                if connection is not None:
                    connection.close()
                connection = None
            if self.is_over:
                break
        if connection is not None:
            connection.close()
        if not self._stopped.is_set():
            logger.error("lease lost", extra={"worker_id": self._worker_id})
            self._lost()

    def _wait(self) -> None:
        """Until the next renewal is due; what takes far longer was a pause of the process."""
        began = time.clock_gettime(_CLOCK)
        self._asked.wait(self._lease_seconds / 4)
        self._asked.clear()
        now = time.clock_gettime(_CLOCK)
        if now - began > self._lease_seconds / 2:
            self._awake_at = now

    def _report(self, connection: psycopg.Connection[Any]) -> None:
        """Write down how many jobs are overdue, and left behind, when that has changed."""
        if (counts := self._counts()) != self._reported:
            overdue, deserted = counts
            told = {"worker_id": self._worker_id, "overdue": overdue, "deserted": deserted}
            connection.execute(self._report_query, told)
            self._reported = counts

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=max(2, int(self._lease_seconds / 4)),
            # A server that never answers must not outlast the lease.
            tcp_user_timeout=int(self._lease_seconds * 500),
        )
