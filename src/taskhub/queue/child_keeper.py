"""The process between a worker and a child: it forks the child, and leaves nothing of it behind.

Run as a program, by its path: it must be small, so it imports nothing of the project, and forks before
the child does. What the child started, in whatever session, becomes the keeper's own child when its
parent dies (PR_SET_CHILD_SUBREAPER; Linux). When the child ends, or the worker closes its end of a pipe,
which its death does too, all of them are killed, and the keeper ends as the child did.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
SWEEP_SECONDS = 5.0
# Processes that are stopped start no others: so many looks, until none is new.
MOST_LOOKS = 50


def main() -> None:
    """The whole program; its arguments: the child's wire, the worker's pipe, what the worker tells."""
    wire, pipe = int(sys.argv[1]), int(sys.argv[2])
    told = json.loads(sys.argv[3])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(pipe)
        sys.path[:] = told["path"]
        from taskhub.queue.child_main import main as live

        live(wire, told, os.getppid())
        return
    os.close(wire)
    with contextlib.suppress(OSError):  # it was faster, and has done so itself
        os.setpgid(child, child)
    _keep(child, pipe, told["parent_pid"])


def _keep(child: int, pipe: int, worker: int) -> None:
    # Who ends this process early would free what it keeps: signals to all of a unit are for the worker.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    woken, waker = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    # The pipe stays open where the worker was forked by its own tasks: the kernel tells, too.
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGUSR2))
    status = _reaped(child)
    while status is None and os.getppid() == worker:
        ready, _, _ = select.select([pipe, woken], [], [])
        if pipe in ready:
            break
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        status = _reaped(child)
    _end_as(_sweep(child, status))


def _reaped(child: int) -> int | None:
    """Wait for all that have ended; the child's status, if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                status = ended
    return status


def _sweep(child: int, status: int | None) -> int:
    """Kill all descendants; the child's status, as if it was killed where it cannot be waited for."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        for pid in _stopped(child if status is None else None):
            _kill(pid, signal.SIGKILL)
        ended = _reaped(child)
        status = ended if ended is not None else status
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            break
        time.sleep(0.005)
    return int(signal.SIGKILL) if status is None else status


def _stopped(child: int | None) -> set[int]:
    """All descendants, none of which runs any more; the child's group where they cannot be seen."""
    if child is not None:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
    found: set[int] = set()
    for _ in range(MOST_LOOKS):
        new = _descendants() - found
        if not new:
            break
        for pid in new:
            _kill(pid, signal.SIGSTOP)
        found |= new
    return found


def _descendants() -> set[int]:
    waiting = [os.getpid()]
    for pid in waiting:
        with contextlib.suppress(OSError):
            for listed in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, listed.read_text().split())
    return set(waiting[1:])


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _end_as(status: int) -> None:
    """End as a process of this status did, so that the worker sees by what."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
