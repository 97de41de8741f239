"""One child process as its worker sees it: started, given a job, listened to, signalled, buried."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from taskhub.queue import frames, joblogs
from taskhub.queue.attempts import Failure
from taskhub.queue.context import Context
from taskhub.queue.execution import ChildDied, CpuLimit, ResultTooLarge
from taskhub.queue.executors import FailedInChild
from taskhub.queue.outcomes import Snooze, Throttled
from taskhub.queue.retries import Again
from taskhub.queue.task import Task

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True, eq=False)
class Ticket:
    """One job on its way through a child; `future` gets the JSON text of its result."""

    frame: bytes
    task: Task[..., Any]
    context: Context
    future: asyncio.Future[str | None]
    child: Child | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """End it, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_exception(error)


class Child:
    """One process under its keeper, with which all that it starts dies.

    Attributes:
        ticket: the job that it runs.
        is_ready: whether it has told that it can take jobs.
        is_spent: whether it must not get another job: it was told to stop, and the next job might be
            the one that hears it.
        jobs: how many it was given.
    """

    def __init__(
        self,
        keeper: subprocess.Popen[bytes],
        keeper_ends: int,
        wire: socket.socket,
        *,
        max_bytes: int,
        on_free: Callable[[Child], None],
        on_gone: Callable[[Child, Exception], None],
    ) -> None:
        self.ticket: Ticket | None = None
        self.is_ready = self.is_spent = False
        self.jobs = 0
        self._keeper = keeper
        self._keeper_ends = keeper_ends  # a descriptor; closing it kills all
        self._pid = 0
        self._wire = wire
        self._max_bytes = max_bytes
        self._on_free = on_free
        self._on_gone = on_gone
        self._heard = bytearray()
        self._unsent = b""
        self._reason: Exception | None = None
        self._is_buried = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(wire, self._on_readable)
        self._watch = -1
        with contextlib.suppress(OSError, AttributeError):
            # A grandchild may hold the socket open after its parent is dead; this tells anyhow.
            self._watch = os.pidfd_open(keeper.pid)
            self._loop.add_reader(self._watch, self.bury)

    def begin(self, ticket: Ticket) -> None:
        """Give it a job; it must be free."""
        self.ticket, ticket.child = ticket, self
        self.jobs += 1
        self._unsent = ticket.frame
        if not self._is_sent():
            self._loop.add_writer(self._wire, self._send)

    def _send(self) -> None:
        if self._is_sent():
            self._loop.remove_writer(self._wire)

    def _is_sent(self) -> bool:
        try:
            self._unsent = self._unsent[self._wire.send(self._unsent) :]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent = b""  # it is dead, which is noticed elsewhere
        return not self._unsent

    # What it says

    def _on_readable(self) -> None:
        if self._listen():
            return
        if self._watch < 0:
            self.bury()
        else:
            # Its keeper tells when all that it started is dead, too: nobody waits here for that.
            self._loop.remove_reader(self._wire)
            self.kill(None)

    def _listen(self) -> bool:
        """Take in what is there; False: the other end is closed."""
        try:
            data = self._wire.recv(262_144)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self._heard += data
        head = frames.HEAD
        while len(self._heard) >= head.size:
            kind, size = head.unpack_from(self._heard)
            if size > self._max_bytes:
                self.kill(ResultTooLarge(f"its process sent {size} bytes at once"))
                return False
            if len(self._heard) < head.size + size:
                break
            body = bytes(self._heard[head.size : head.size + size])
            del self._heard[: head.size + size]
            self._take(kind, body)
        return bool(data)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == frames.LOGGED:
            self._log(json.loads(body))
        elif kind == frames.BROKEN:
            failure = Failure(**json.loads(body))
            self._reason = FailedInChild(failure, None)
        elif kind == frames.READY:
            self.is_ready, self._pid = True, json.loads(body)
            self._on_free(self)
        elif kind == frames.PROGRESS:
            if self.ticket is not None:
                self.ticket.context.progress(*json.loads(body))
        elif self.ticket is not None:
            self._answer(kind, body)

    def _answer(self, kind: bytes, body: bytes) -> None:
        ticket = self._end_ticket()
        if ticket is None:
            return
        if kind == frames.RESULT:
            if not ticket.future.done():
                ticket.future.set_result(body.decode() if body else None)
        elif kind == frames.SNOOZED:
            seconds, is_throttled = json.loads(body)
            ticket.fail(Throttled(seconds) if is_throttled else Snooze(seconds))
        else:
            told = json.loads(body)
            # A child that asked knows it before its worker hears of it.
            ticket.context.cancelled = ticket.context.cancelled or told["knows_of_request"]
            ticket.fail(_failed(told))
        self._on_free(self)

    def _end_ticket(self) -> Ticket | None:
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            for timer in ticket.timers:
                timer.cancel()
        return ticket

    def _log(self, told: list[Any]) -> None:
        if self.ticket is None:
            return
        name, level, message, created, line = told
        context = self.ticket.context
        joblogs.keep(context, line)
        record = logging.LogRecord(name, level, "", 0, message, None, None)
        record.created = created
        known = {
            "job_id": context.job_id,
            "task": context.task_name,
            "queue": context.queue,
            "attempt": context.attempt,
            "worker_id": context.worker_id,
        }
        if context.trace_id is not None:
            known["trace_id"] = context.trace_id
        vars(record).update(known)
        logging.getLogger(name).handle(record)

    # Its end

    def tell_late(self) -> None:
        """Raise TaskTimeout in the job."""
        self._signal(signal.SIGTERM)

    def ask_to_stop(self) -> None:
        """Let the job see `ctx.cancelled`, and cancel it if it is a coroutine."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        self.is_spent = True
        # As long as its keeper is there, nobody else has its number.
        if self._pid and self._keeper.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)

    def kill(self, reason: Exception | None) -> None:
        """End it and all it has started; `reason` is what its job failed by."""
        self.is_spent = True
        self._reason = self._reason or reason
        if self._keeper_ends >= 0:
            os.close(self._keeper_ends)
            self._keeper_ends = -1

    def bury(self) -> None:
        """Its process is dead, or as good as: its last words count, then its job fails by its reason."""
        if self._is_buried:
            return
        self.kill(None)
        code = self._keeper.wait()
        with contextlib.suppress(BlockingIOError):
            while self._reason is None and self._has_more():
                pass
        self._is_buried = True
        self._loop.remove_reader(self._wire)
        self._loop.remove_writer(self._wire)
        self._wire.close()
        if self._watch >= 0:
            self._loop.remove_reader(self._watch)
            os.close(self._watch)
        reason = self._reason or _reason(code)
        if (ticket := self._end_ticket()) is not None:
            ticket.fail(reason)
        self._on_gone(self, reason)

    def _has_more(self) -> bool:
        self._wire.recv(1, socket.MSG_PEEK)  # raises where nothing is left
        return self._listen()

    def resident_mb(self) -> float:
        """Megabytes in memory, of the process and what it started; 0 where there is no /proc."""
        pages, waiting = 0, [str(self._pid)]
        for pid in waiting:
            with contextlib.suppress(OSError, IndexError, ValueError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                for listed in Path(f"/proc/{pid}/task").glob("*/children"):
                    waiting += listed.read_text().split()
        return pages * _PAGE_BYTES / 1e6


def _failed(told: Mapping[str, Any]) -> Exception:
    again = told["again"]
    if again is not None and again["at"] is not None:
        again["at"] = datetime.fromisoformat(again["at"])
    return FailedInChild(Failure(**told["failure"]), None if again is None else Again(**again))


def _reason(code: int) -> Exception:
    if code == -signal.SIGXCPU:
        return CpuLimit("used up its cpu_seconds; its process was killed by SIGXCPU")
    if code >= 0:
        return ChildDied(f"its process ended with exit code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return ChildDied(f"its process was killed by {name}")
