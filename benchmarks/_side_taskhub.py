"""taskhub as a side: hooks on, history on, the fence is always on."""

import argparse
import time

from _cues import tell, wait_for_go
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from taskhub import Hub, Item, db, migrations
from taskhub.queue.events import JobEvent
from taskhub.settings import Settings

CHUNK = 10_000
SETTLED = "CREATE TABLE bench_settled (n integer)"
SETTLE = text("INSERT INTO bench_settled VALUES (:n)")
KINDS = {
    "async": "noop",
    "sync": "noop_thread",
    "lock": "noop_lock",
    "transactional": "settle",
    "limit": "noop_limit",
    "batch_sync": "noop_batch_thread",
    "batch_async": "noop_batch",
}


def make_hub(url: str) -> Hub:
    """A hub with the tasks that the benchmarks defer."""
    hub = Hub(settings=Settings(database_url=url))

    @hub.task(name="noop", queue="bench")
    async def noop(n: int) -> None: ...

    @hub.task(name="noop_thread", queue="bench")
    def noop_thread(n: int) -> None: ...

    @hub.task(name="noop_lock", queue="bench", lock="{key}")
    async def noop_lock(n: int, key: int) -> None: ...

    @hub.task(name="settle", queue="bench", transactional=True)
    def settle(session: Session, n: int) -> None:
        session.execute(SETTLE, {"n": n})

    @hub.task(name="noop_limit", queue="bench", limit="one", at_most=50)
    async def noop_limit(n: int) -> None: ...

    @hub.task(name="noop_batch", queue="bench", batch=64)
    async def noop_batch(items: list[Item]) -> None: ...

    @hub.task(name="noop_batch_thread", queue="bench", batch=64)
    def noop_batch_thread(items: list[Item]) -> None: ...

    return hub


def prepare(url: str) -> None:
    """Migrate an empty database."""
    settings = Settings(database_url=url)
    engine = create_engine(db.address(url))
    migrations.upgrade(engine, settings)
    with engine.begin() as connection:
        connection.execute(text(SETTLED))
    engine.dispose()


def load(url: str, jobs: int, kind: str, locks: int, queue: str) -> None:
    """Defer the jobs, some thousands a transaction."""
    hub = make_hub(url)
    task = hub.tasks[KINDS[kind]].options(queue=queue)
    for start in range(0, jobs, CHUNK):
        numbers = range(start, min(start + CHUNK, jobs))
        extra = [{"key": n % locks} if kind == "lock" else {} for n in numbers]
        task.defer_many([{"n": n, **more} for n, more in zip(numbers, extra, strict=True)])
    hub.close()


def work(url: str, concurrency: int, *, series: bool) -> None:
    """Run what is there to its end; with `series`, tell how many jobs each second ended."""
    hub = make_hub(url)
    seconds: dict[int, int] = {}
    done = 0

    def started(_: JobEvent) -> None: ...

    def succeeded(_: JobEvent) -> None:
        nonlocal done
        done += 1
        if series:
            second = int(time.monotonic() - began)
            seconds[second] = seconds.get(second, 0) + 1

    hub.on("job.started", started)
    hub.on("job.succeeded", succeeded)
    _ = hub.engine  # the drivers are imported before the clock starts, as for every side
    wait_for_go()
    began = time.monotonic()
    hub.run_worker(queues=["bench"], concurrency=concurrency, wait=False)
    ended = time.monotonic()
    last = max(seconds, default=-1)
    tell(ended=ended, done=done, series=[seconds.get(n, 0) for n in range(last + 1)])


def enqueue(url: str, jobs: int) -> None:
    """Store the jobs by one `defer_many` in a transaction of its own, and tell how long it took."""
    hub = make_hub(url)
    with hub.engine.connect():  # connecting is no part of it
        pass
    wait_for_go()
    began = time.monotonic()
    hub.tasks["noop"].defer_many([{"n": n} for n in range(jobs)])
    tell(seconds=time.monotonic() - began)
    hub.close()


def idle(url: str) -> None:
    """Be a worker without jobs until SIGTERM."""
    hub = make_hub(url)
    wait_for_go()
    hub.run_worker(queues=["bench"])


def main() -> None:
    """The command line that `_sides` speaks."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    loading = verbs.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("jobs", type=int)
    loading.add_argument("--kind", choices=list(KINDS), default="async")
    loading.add_argument("--locks", type=int, default=1)
    loading.add_argument("--queue", default="bench")
    storing = verbs.add_parser("enqueue")
    storing.add_argument("url")
    storing.add_argument("jobs", type=int)
    verbs.add_parser("idle").add_argument("url")
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--concurrency", type=int, default=200)
    working.add_argument("--series", action="store_true")
    asked = parser.parse_args()
    if asked.verb == "prepare":
        prepare(asked.url)
    elif asked.verb == "load":
        load(asked.url, asked.jobs, asked.kind, asked.locks, asked.queue)
    elif asked.verb == "idle":
        idle(asked.url)
    elif asked.verb == "enqueue":
        enqueue(asked.url, asked.jobs)
    else:
        work(asked.url, asked.concurrency, series=asked.series)


if __name__ == "__main__":
    main()
