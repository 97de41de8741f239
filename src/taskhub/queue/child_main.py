"""A child process: imports the hub once, then runs one job after the other until its worker ends.

One thread does it all, so that a signal breaks into the job itself: SIGTERM raises TaskTimeout in it,
SIGUSR1 sets `ctx.cancelled`; a coroutine is cancelled by both.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from taskhub.queue import executors, frames, joblogs, observers
from taskhub.queue.acks import Claimed
from taskhub.queue.attempts import describe
from taskhub.queue.context import Context, running
from taskhub.queue.execution import ResultTooLarge, TaskTimeout
from taskhub.queue.outcomes import Snooze, Throttled
from taskhub.queue.progress import Report, Reporter
from taskhub.queue.runs import comes_back
from taskhub.queue.task import Task

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
WATCH_SECONDS = 0.5


class Child:
    """The life of one child on its end of the socket."""

    def __init__(self, wire: socket.socket, told: Mapping[str, Any]) -> None:
        self._wire = wire
        self._told = told
        self._writing = threading.Lock()
        self._heard = b""
        self._pid = os.getpid()
        self._tasks: dict[str, Task[..., Any]] = {}
        self._runner = asyncio.Runner()
        self._reporter = Reporter(self._on_progress)
        self._context: Context | None = None
        self._reporting: Context | None = None
        self._timeout: float | None = None
        self._coroutine: asyncio.Task[Any] | None = None
        self._is_late = False
        self._is_cpu_limited = self._are_files_limited = False
        self._cpu = resource.getrlimit(resource.RLIMIT_CPU)
        self._open_files = resource.getrlimit(resource.RLIMIT_NOFILE)

    def live(self) -> None:
        """Tell that it is ready, and work until the worker closes its end."""
        signal.signal(signal.SIGTERM, self._on_timeout)
        signal.signal(signal.SIGUSR1, self._on_cancel)
        try:
            if self._told["hub"] is not None:
                importlib.import_module(self._told["hub"][0])
        except BaseException as error:  # noqa: BLE001 - whatever the user's modules raise is told
            self._send(frames.BROKEN, asdict(describe(error)))
            return
        self._send(frames.READY, os.getpid())
        with joblogs.capture(self._on_line):
            while (given := self._receive()) is not None:
                self._run(given)

    def _receive(self) -> Any:
        head = self._read(frames.HEAD.size)
        if head is None:
            return None
        body = self._read(frames.HEAD.unpack(head)[1])
        return None if body is None else json.loads(body)

    def _read(self, size: int) -> bytes | None:
        while len(self._heard) < size:
            more = self._wire.recv(262_144)
            if not more:
                return None
            self._heard += more
        read, self._heard = self._heard[:size], self._heard[size:]
        return read

    def _send(self, kind: bytes, value: Any) -> None:
        self._write(frames.pack(kind, frames.as_json(value)))

    def _write(self, frame: bytes) -> None:
        with self._writing:  # a task's own threads may log
            self._wire.sendall(frame)

    def _on_progress(self, reports: Sequence[tuple[Context, Report]]) -> None:
        for context, report in reports:
            if context is self._reporting:
                self._send(frames.PROGRESS, [report.done, report.out_of, report.note])

    def _on_line(self, _: Context, record: logging.LogRecord, line: str) -> None:
        if os.getpid() == self._pid:
            told = [record.name, record.levelno, joblogs.message(record), record.created, line]
            self._send(frames.LOGGED, told)

    # Signals

    def _on_timeout(self, *_: object) -> None:
        self._stop()
        if self._context is not None and self._timeout is not None:
            self._is_late = True
            if self._coroutine is None:
                raise TaskTimeout(self._timeout)

    def _on_cancel(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._context is not None:
            self._context.cancelled = True
        if self._coroutine is not None:
            # The loop may be asleep, and a cancel from here would not wake it.
            self._runner.get_loop().call_soon_threadsafe(self._coroutine.cancel)

    # One job

    def _run(self, given: Mapping[str, Any]) -> None:
        job = Claimed._make(given["job"])
        if job.scheduled_at is not None:
            job = job._replace(scheduled_at=datetime.fromisoformat(str(job.scheduled_at)))
        task: Task[..., Any] | None = None
        try:
            task = self._task(given["at"], job.task_name)
            result = self._result(task, job, given)
        except Snooze as error:
            answer = frames.pack(
                frames.SNOOZED, frames.as_json([error.seconds, isinstance(error, Throttled)])
            )
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is its outcome
            self._context = None
            answer = self._failure(task, job, error)
        else:
            answer = frames.pack(frames.RESULT, b"" if result is None else result.encode())
        self._context = None
        if os.getpid() != self._pid:
            os._exit(0)  # the task forked, and this is the copy: the answer is not its to give
        running.set(None)
        if self._reporting is not None and self._reporting.has_reported:
            self._reporting.hub.reporter.settle()
        self._reporting = None
        self._write(answer)

    def _task(self, at: str, name: str) -> Task[..., Any]:
        """The task `name`: as its function's module has it, else as the hub does."""
        if (known := self._tasks.get(name)) is not None:
            return known
        module = importlib.import_module(at)
        found = [t for t in vars(module).values() if isinstance(t, Task)]
        if (place := self._told["hub"]) is not None:
            found += getattr(sys.modules[place[0]], place[1]).tasks.values()
        for task in found:
            if name in (task.name, *task.aliases):
                self._tasks[name] = task
                return task
        raise LookupError(
            f"module {at} has no task {name!r} when it is imported by a child process; "
            "declare it at the top level"
        )

    def _result(self, task: Task[..., Any], job: Claimed, given: Mapping[str, Any]) -> str | None:
        self._limit(given)
        context = Context(
            task.hub,
            job.id,
            job.task_name,
            job.queue_name,
            job.attempts + 1,
            job.claim,
            given["worker_id"],
            given["hub_id"],
        )
        context.traceparent = given["traceparent"]
        task.hub.reporter = self._reporter
        running.set(context)
        self._timeout, self._is_late = given["timeout"], False
        self._context = self._reporting = context
        with observers.inside_child(task.hub.observers, context):
            answer = task.call(job.args, context)
            if task.is_async:
                answer = self._awaited(answer)
        # From here on no signal breaks in: the job is done.
        self._context = None
        most = self._told["max_result_bytes"]
        if isinstance(answer, str | bytes) and len(answer) > most:
            raise ResultTooLarge(f"result must be at most {most} bytes, got {len(answer)}")
        return executors.result_text(task, answer) if answer is not None else None

    def _awaited(self, coroutine: Any) -> Any:
        async def watched() -> Any:
            self._coroutine = asyncio.current_task()
            try:
                return await coroutine
            finally:
                self._coroutine = None

        try:
            return self._runner.run(watched())
        except asyncio.CancelledError:
            if self._is_late and self._timeout is not None:
                raise TaskTimeout(self._timeout) from None
            raise
        finally:
            self._end_leftovers()

    def _end_leftovers(self) -> None:
        """What a coroutine started and did not wait for ends with its job."""
        loop = self._runner.get_loop()
        if os.getpid() == self._pid and (left := asyncio.all_tasks(loop)):
            for task in left:
                task.cancel()
            self._runner.run(_settled(left))

    def _limit(self, given: Mapping[str, Any]) -> None:
        if (cpu_seconds := given.get("cpu_seconds")) is not None:
            soft = math.ceil(time.process_time() + cpu_seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (soft, self._cpu[1]))
            self._is_cpu_limited = True
        elif self._is_cpu_limited:
            resource.setrlimit(resource.RLIMIT_CPU, self._cpu)
            self._is_cpu_limited = False
        soft, hard = self._open_files
        if (open_files := given.get("open_files")) is not None:
            most = open_files if hard == resource.RLIM_INFINITY else min(open_files, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            self._are_files_limited = True
        elif self._are_files_limited:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self._are_files_limited = False

    def _failure(self, task: Task[..., Any] | None, job: Claimed, error: BaseException) -> bytes:
        again = comes_back(task, job, error) if isinstance(error, Exception) else None
        when = None if again is None else asdict(again)
        if when is not None and when["at"] is not None:
            when["at"] = when["at"].isoformat()
        context = running.get()
        hidden = context.hidden if context is not None else ()
        told = {
            "failure": asdict(describe(error, hidden)),
            "again": when,
            "knows_of_request": context is not None and context.knows_of_request,
        }
        return frames.pack(frames.FAILED, frames.as_json(told))


async def _settled(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=1.0)


def _end_with(parent_pid: int) -> None:
    """Have this process killed when its keeper is, even while it holds the interpreter's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()
    if os.getppid() != parent_pid:  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(WATCH_SECONDS)
    os.killpg(0, signal.SIGKILL)


def main(descriptor: int, told: Mapping[str, Any], parent_pid: int) -> None:
    """The child's whole program: its end of the socket, what the worker tells, its keeper."""
    _end_with(parent_pid)
    # Ctrl-C is for the worker, which says what becomes of the job; a crash needs no core file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    wire = socket.socket(fileno=descriptor)
    wire.set_inheritable(False)
    # What a line is good for is decided where it arrives, by the worker's own handlers.
    logging.basicConfig(level=told["log_level"], handlers=[logging.NullHandler()])
    Child(wire, told).live()
