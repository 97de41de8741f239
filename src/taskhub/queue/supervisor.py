"""Several worker processes under one parent that brings back the ones that die."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskhub.queue.retries import Backoff

logger = logging.getLogger("taskhub.supervisor")

RESTART = Backoff(first_seconds=1.0, ceiling_seconds=60.0, jitter=0.25)
# A worker that lived this long is sound: what ended it has nothing to do with how it starts.
SOUND_SECONDS = 60.0
WATCH_SECONDS = 1.0
NOT_STARTED = 126  # what a shell says of a command that it cannot execute
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(frozen=True, slots=True)
class End:
    """How a worker's process ended; a signal's number is negative."""

    code: int
    told: Mapping[str, object]
    lived_seconds: float


class Supervisor:
    """Keeps one process alive for each command, until a signal ends them all.

    The first SIGTERM or SIGINT has every worker drain, a second one has it stop at once, a third
    one kills it. A worker that ends in any other way is started again, later after every failure.

    Args:
        commands: command lines, by the names that the log gives the workers.
        burst: a worker that ends with 0 has done its part and is not started again.
        hopeless: exit codes which say that another start would not help; they end everything,
            unless that worker was sound before.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        burst: bool = False,
        hopeless: frozenset[int] = frozenset(),
    ) -> None:
        self._commands = commands
        self._burst = burst
        self._hopeless = hopeless
        self._alive: set[Process] = set()
        self._signals = 0
        self._code = 0

    def run(self) -> int:
        """Start the workers and stay until all have ended; the exit code, 0 when they drained.

        For the main thread alone.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        await asyncio.gather(*(self._keep(name) for name in self._commands))
        return self._code

    def _on_signal(self) -> None:
        self._signals += 1
        self._end_all()

    def _end_all(self) -> None:
        self._stopping.set()
        for process in self._alive:
            self._end(process)

    def _end(self, process: Process) -> None:
        # Never SIGINT: it means the same to a worker, and one that is still loading ends at
        # SIGTERM without a word.
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM if self._signals <= 2 else signal.SIGKILL)

    async def _keep(self, name: str) -> None:
        failures = 0
        was_sound = False
        while not self._stopping.is_set():
            end = await self._live(name)
            if end.lived_seconds >= SOUND_SECONDS:
                failures, was_sound = 0, True
            if self._stopping.is_set():
                self._note_last(end)
            elif end.code == 0 and self._burst:
                return
            elif end.code == 0:
                # Somebody asked it to drain.
                logger.info("worker ended and is started again", extra={**end.told})
                await self._pause(RESTART.wait(0))
            elif end.code in self._hopeless and not was_sound:
                logger.error("worker cannot start, all are stopped", extra={**end.told})
                self._code = end.code
                self._end_all()
            else:
                seconds = RESTART.wait(failures)
                failures += 1
                told = {**end.told, "restart_seconds": round(seconds, 1)}
                logger.error("worker died and is started again", extra=told)
                await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _note_last(self, end: End) -> None:
        # One that was still loading had no job to drain, and no handler for SIGTERM.
        if end.code not in {0, -signal.SIGTERM, *self._hopeless}:
            self._code = self._code or 1
            logger.error("worker did not drain", extra={**end.told})

    async def _live(self, name: str) -> End:
        """One life of a worker, from its start to its end."""
        began = time.monotonic()
        try:
            # A group of its own: what a terminal sends at Ctrl-C would otherwise reach it twice,
            # from the terminal and from here, and a second signal cuts the drain short.
            process = await asyncio.create_subprocess_exec(
                *self._commands[name], stdin=DEVNULL, process_group=0
            )
        except OSError as error:
            return End(NOT_STARTED, {"worker": name, "error": str(error)}, 0.0)
        self._alive.add(process)
        if self._stopping.is_set():
            self._end(process)  # it was not there yet when the others were told
        code = await process.wait()
        self._alive.remove(process)
        told: dict[str, object] = {"worker": name, "pid": process.pid}
        told |= {"killed_by": _signal_name(-code)} if code < 0 else {"exit_code": code}
        return End(code, told, time.monotonic() - began)


def end_with(parent_pid: int) -> None:
    """Have SIGTERM sent to this process when its parent ends, which may be too late to say so."""
    if not _kernel_watches():
        watch = threading.Thread(
            target=_watch, args=(parent_pid,), name="taskhub-parent", daemon=True
        )
        watch.start()
    elif os.getppid() != parent_pid:  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)


def _kernel_watches() -> bool:
    if sys.platform != "linux":
        return False
    # The process that dies is, to Linux, the thread that started this one: the supervisor's main
    # thread, which lives as long as it.
    answer: int = ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return answer == 0


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
