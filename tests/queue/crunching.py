"""Tasks that run in child processes; the children import them from here."""

import asyncio
import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

from taskhub import Backoff, Context, Encrypted, Hub, RetryAt, Secret, Snooze, Throttled
from taskhub.queue.blueprint import Blueprint

work = Blueprint()


@work.task(executor="process")
def add(a: int, b: int) -> int:
    return a + b


@work.task(executor="process")
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@work.task(executor="process", version=2)
def twice(n: int) -> int:
    return 2 * n


@twice.upcast(1)
def _renamed(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"n": arguments["number"]}


class Unwanted(ValueError):
    """A kind of ValueError that is not retried."""


@work.task(
    executor="process",
    retry=Backoff(
        max_attempts=2, first_seconds=0.01, on=(LookupError, ValueError), never_on=(Unwanted,)
    ),
)
def raises(what: str) -> None:
    raise {"sub": KeyError, "never": Unwanted, "other": TypeError}[what]("raised")


@work.task(executor="process")
def returns_at(when: str) -> None:
    raise RetryAt(datetime.fromisoformat(when))


@work.task(executor="process")
def pid() -> int:
    return os.getpid()


@work.task(executor="process")
def tell(ctx: Context) -> list[object]:
    ctx.log.warning("halfway")
    return [ctx.job_id, ctx.attempt, ctx.idempotency_key, ctx.cancelled]


@work.task(executor="process")
def count_jobs(ctx: Context) -> int:
    from sqlalchemy import text

    with ctx.hub.transaction() as session:
        found = session.execute(text("SELECT count(*) FROM taskhub.procrastinate_jobs")).scalar()
    return int(found or 0)


@work.task(executor="process", retry=Backoff(max_attempts=2, first_seconds=0.01, on=(ValueError,)))
def breaks(kind: str) -> None:
    raise ValueError("bad") if kind == "value" else KeyError("bad")


@work.task(executor="process")
def snooze_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        raise Snooze(0.01)
    return "done"


@work.task(executor="process")
def descriptors_and_environment() -> tuple[list[str], list[str]]:
    found = []
    # The worker's socket keeps its number, which may be any; the listing's own descriptor is gone by now.
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if int(path.name) > 2:
                found.append(str(path.readlink()))
    return found, sorted(os.environ)


@work.task(executor="process")
def die(how: str) -> None:
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "exit":
        os._exit(3)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "fork":
        os.fork()  # the copy returns from the task too, and must not speak for it


@work.task(executor="process", memory_mb=300)
def eat_memory() -> int:
    held = []
    for _ in range(200):
        held.append(b"x" * 10_000_000)
        time.sleep(0.005)
    return len(held)


@work.task(executor="process", cpu_seconds=1)
def burn() -> None:
    while True:
        pass


@work.task(executor="process", open_files=40)
def open_many() -> None:
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
    assert not opened


@work.task(executor="process", timeout=0.5)
def sleep_long() -> None:
    time.sleep(60)


@work.task(executor="process", timeout=0.5)
async def sleep_long_async() -> None:
    await asyncio.sleep(60)


@work.task(executor="process", timeout=0.5)
def hold_the_gil() -> None:
    deque(itertools.count(), maxlen=0)  # for ever in C, without a look at signals


@work.task(executor="process", timeout=0.5)
def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


@work.task(executor="process", timeout=1)
def fork_children(path: str) -> None:
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    Path(path).write_text(" ".join(str(p.pid) for p in started))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


@work.task(executor="process", memory_mb=500)
def start_daemons(path: str, how: str) -> None:
    """Processes that leave the group, the session and their parent."""
    program = (
        "import os, sys, time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "open(sys.argv[1] + str(os.getpid()), 'w').close()\n"
        "time.sleep(300)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, path + "/"], check=True)
    while len(list(Path(path).iterdir())) < 2:
        time.sleep(0.01)
    Path(path, "ready").touch()
    if how == "memory":
        held = b"x" * 600_000_000
        time.sleep(len(held))
    if how == "exit":
        os._exit(3)
    time.sleep(300)


@work.task(executor="process", timeout=3)
def fork_bomb(path: str) -> None:
    """Copies that copy themselves, each in a session of its own: 150 in all, whatever happens."""
    ready, tokens = os.pipe()
    os.write(tokens, b"." * 150)
    os.set_blocking(ready, False)
    counter = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            os.read(ready, 1)
        except BlockingIOError:
            break
        if os.fork() == 0:
            os.setsid()
            os.write(counter, b".")
    time.sleep(120)


@work.task(executor="process")
def huge_result(megabytes: int) -> str:
    return "x" * (megabytes * 1_000_000)


@work.task(executor="process")
def hold(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(120)


@work.task(executor="process")
def until_cancelled(ctx: Context, path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while not ctx.cancelled:
        time.sleep(0.01)
    Path(path).write_text("seen")


@work.task(executor="process")
def counts_up(ctx: Context, path: str) -> None:
    for n in range(1000):
        ctx.progress(n, 1000, "counting")
    while not Path(path).exists():
        time.sleep(0.01)
    ctx.progress(1000, 1000)


@work.task(executor="process", limit="api", tokens=50)
def settle(ctx: Context) -> None:
    """Take less of its key than it had reserved."""
    ctx.settle("api", 10)


@work.task(executor="process", limit="throttled")
def be_throttled() -> None:
    """Meet a provider with too many requests."""
    raise Throttled(3600)


@work.task(executor="process")
def log_in(ctx: Context, token: Secret[str], pin: Encrypted[str]) -> bool:
    ctx.log.warning("logging in with %s and %s", token.reveal(), pin)
    if pin == "wrong-pin":
        raise ValueError(f"refused: {token.reveal()}")
    return True


hub = Hub()
hub.add(work)
