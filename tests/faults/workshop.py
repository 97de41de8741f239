"""A worker's program, which the fault tests pause, kill and cut off wherever they like.

`python workshop.py URL DOORS [setting=value ...]`: it says on stdout where it stands. A job that holds
goes on when a file of its name appears in the directory DOORS.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from taskhub import Backoff, Context, Hub, Item, settings
from taskhub.queue.context import ClaimLost

given = dict(pair.split("=", 1) for pair in sys.argv[3:])
queues = given.pop("queues").split(",") if "queues" in given else None
knows_news = given.pop("news", "") == "yes"
has_schedules = given.pop("schedules", "") == "yes"
quick = {"lease_seconds": "1", "poll_seconds": "0.1", "concurrency": "4", "drain_seconds": "5"}
hub = Hub(settings=settings.load({"database_url": sys.argv[1], **quick, **given}))
doors = Path(sys.argv[2])


def say(*what: object) -> None:
    # One write: jobs in threads speak at the same time.
    os.write(sys.stdout.fileno(), (" ".join(map(str, what)) + "\n").encode())


def is_open(door: str) -> bool:
    return (doors / door).exists()


async def opened(door: str) -> None:
    while not is_open(door):  # noqa: ASYNC110 - the test that opens it is another process
        await asyncio.sleep(0.02)


def write_effect(ctx: Context) -> None:
    with hub.transaction() as session:
        session.execute(
            text("INSERT INTO effects (job_id, claim) VALUES (:job_id, :claim)"),
            {"job_id": ctx.job_id, "claim": ctx.claim},
        )


@hub.task(name="nothing")
async def nothing(number: int = 0) -> None:
    """Do nothing."""


if has_schedules:

    @hub.every(seconds=1, name="second", queue="seconds", catch_up="all")
    async def second(scheduled_for: datetime) -> None:
        """Never run here: the tests look at the jobs of its ticks."""

    @hub.cron("0 0 1 1 *", name="yearly", queue="seconds", catch_up="all")
    async def yearly() -> None:
        """Not due while a test runs, unless a worker trusts a clock of its own."""


@hub.task(name="answer")
async def answer(text: str) -> str:
    """Give back what was given."""
    return text


@hub.task(name="together", batch=5)
def together(items: list[Item]) -> None:
    """Many jobs in one call, which kills the worker if one of them says so."""
    if any(item.args.get("kills") for item in items):
        os.kill(os.getpid(), signal.SIGKILL)


@hub.task(name="write")
def write(ctx: Context) -> None:
    """Write an effect in a transaction of the hub."""
    write_effect(ctx)


@hub.task(name="write_again", retry=Backoff(max_attempts=3, first_seconds=0.1))
def write_again(ctx: Context) -> None:
    """The same with a retry."""
    write_effect(ctx)


@hub.task(name="defer_later")
async def defer_later(seconds: float) -> None:
    """Defer another job, some seconds from now."""
    await nothing.options(queue="later", delay=seconds).defer_async()


@hub.task(name="hold")
def hold(ctx: Context, door: str) -> None:
    """Tell that it runs and wait for the door; a thread."""
    say("running", ctx.job_id, ctx.claim)
    while not is_open(door):
        time.sleep(0.02)
    say("leaving", ctx.job_id, ctx.claim)


@hub.task(name="hold_async", retry=Backoff(max_attempts=3, first_seconds=0.1))
async def hold_async(ctx: Context, door: str) -> None:
    """The same on the event loop, with a retry."""
    say("running", ctx.job_id, ctx.claim)
    await opened(door)


@hub.task(name="hold_async_once")
async def hold_async_once(ctx: Context, door: str) -> None:
    """The same without one."""
    say("running", ctx.job_id, ctx.claim)
    await opened(door)


@hub.task(name="hold_and_write")
def hold_and_write(ctx: Context, door: str) -> None:
    """Wait for the door on the first run, then write, and tell whether that was allowed."""
    say("running", ctx.job_id, ctx.claim)
    while ctx.claim == 1 and not is_open(door):
        time.sleep(0.02)
    try:
        write_effect(ctx)
    except ClaimLost:
        say("refused", ctx.job_id, ctx.claim)
        raise
    say("written", ctx.job_id, ctx.claim)


@hub.task(name="hold_pool")
def hold_pool(ctx: Context, door: str) -> None:
    """Take every connection the hub's pool has, and keep them until the door opens."""
    pool = hub.settings.concurrency + 3 + 10  # the size, and what SQLAlchemy adds for a while
    taken = [hub.engine.connect() for _ in range(pool)]
    say("running", ctx.job_id, ctx.claim)
    while not is_open(door):
        time.sleep(0.02)
    for connection in taken:
        connection.close()


@hub.task(name="doze")
async def doze(name: str) -> None:
    """Sleep, and note from when to when."""
    began = await clock()
    await asyncio.sleep(0.3)
    async with hub.async_engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO naps VALUES (:name, :began, clock_timestamp())"),
            {"name": name, "began": began},
        )


async def clock() -> object:
    """The time of the database."""
    async with hub.async_engine.connect() as connection:
        return await connection.scalar(text("SELECT clock_timestamp()"))


@hub.task(name="section")
def section(ctx: Context, name: str) -> None:
    """Note when it is in the section that its lock guards, and when it left."""
    with hub.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO sections (name, job_id) VALUES (:name, :job_id)"),
            {"name": name, "job_id": ctx.job_id},
        )
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE sections SET left_at = clock_timestamp() WHERE job_id = :job_id"),
            {"job_id": ctx.job_id},
        )


def stamp(ctx: Context) -> None:
    """Do something outside Postgres that cannot be taken back, and note when."""
    with (doors / f"stamps-{ctx.job_id}-{ctx.claim}").open("a") as file:
        file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME)}\n")


@hub.task(name="stamp_async")
async def stamp_async(ctx: Context, stamps: int) -> None:
    """Stamp again and again, on the event loop."""
    say("running", ctx.job_id, ctx.claim)
    for _ in range(stamps):
        stamp(ctx)
        await asyncio.sleep(0.01)


@hub.task(name="stamp_thread")
def stamp_thread(ctx: Context, stamps: int) -> None:
    """The same in a thread, as long as nobody asks it to stop."""
    say("running", ctx.job_id, ctx.claim)
    for _ in range(stamps):
        if ctx.cancelled:
            break
        stamp(ctx)
        time.sleep(0.01)


@hub.task(name="block_loop")
async def block_loop(ctx: Context, seconds: float) -> None:
    """Stand on the event loop, as a coroutine without an await does."""
    say("running", ctx.job_id, ctx.claim)
    time.sleep(seconds)  # noqa: ASYNC251 - the fault under test


@hub.task(name="nap")
async def nap(ctx: Context, seconds: float) -> None:
    """Take a while on the event loop."""
    say("running", ctx.job_id, ctx.claim)
    await asyncio.sleep(seconds)


@hub.task(name="nap_too")
async def nap_too(seconds: float) -> None:
    """The same under another name."""
    await asyncio.sleep(seconds)


@hub.task(name="kill_worker")
def kill_worker(ctx: Context) -> None:
    """End the whole process, as the kernel does when memory is short."""
    say("running", ctx.job_id, ctx.claim)
    os.kill(os.getpid(), signal.SIGKILL)


@hub.task(name="fail")
def fail(reason: str) -> None:
    """Fail for good."""
    raise RuntimeError(reason)


@hub.task(name="fail_once", retry=Backoff(max_attempts=3, first_seconds=0.5, jitter=0))
def fail_once(ctx: Context, door: str) -> None:
    """Fail the first time, when the door opens."""
    say("running", ctx.job_id, ctx.claim)
    while not is_open(door):
        time.sleep(0.02)
    if ctx.attempt == 1:
        raise RuntimeError("the first run fails")


if knows_news:

    @hub.task(name="news")
    def news(ctx: Context) -> None:
        """A task that the deferrers know before the workers do."""
        say("running", ctx.job_id, ctx.claim)


if __name__ == "__main__":
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("taskhub").setLevel(logging.INFO)
    hub.run_worker(queues=queues)
    say("ended")
