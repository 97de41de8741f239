"""procrastinate with its own worker as a side: delete_jobs="successful", so that its table stays small."""

import argparse
import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from _cues import tell, wait_for_go
from procrastinate import App, PsycopgConnector

CHUNK = 1_000
# It warns of an App in the main module, which matters where its command line must import it.
logging.getLogger("procrastinate").setLevel(logging.ERROR)
POOL_CONNECTIONS = 10


def make_app(url: str) -> App:
    """An App with the tasks that the benchmarks defer."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=POOL_CONNECTIONS))

    @app.task(name="noop", queue="bench")
    async def noop(n: int) -> None: ...

    @app.task(name="noop_thread", queue="bench")
    def noop_thread(n: int) -> None: ...

    return app


async def prepare(url: str) -> None:
    """Apply its schema to an empty database."""
    app = make_app(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def load(url: str, jobs: int, kind: str, locks: int) -> None:
    """Defer the jobs in batches; a lock can only be given to a whole batch, so it is added after."""
    app = make_app(url)
    task: Any = app.tasks["noop_thread" if kind == "sync" else "noop"]
    async with app.open_async():
        for start in range(0, jobs, CHUNK):
            numbers = range(start, min(start + CHUNK, jobs))
            await task.batch_defer_async(*[{"n": n} for n in numbers])
        if kind == "lock":
            await app.connector.execute_query_async(
                "UPDATE procrastinate_jobs SET lock = mod(id, %(locks)s)::text", locks=locks
            )


async def work(url: str, concurrency: int, stop_after: int) -> None:
    """Run what is there to its end, or until `stop_after` jobs have run."""
    app = make_app(url)
    done = 0
    ended = 0.0
    enough = asyncio.Event()

    async def count(process: Callable[[], Awaitable[Any]], *_: Any) -> Any:
        nonlocal done, ended
        result = await process()
        done += 1
        if done == stop_after:
            ended = time.monotonic()
            enough.set()
        return result

    async with app.open_async():
        wait_for_go()
        working = asyncio.create_task(
            app.run_worker_async(
                queues=["bench"],
                concurrency=concurrency,
                wait=False,
                delete_jobs="successful",
                install_signal_handlers=False,
                worker_middleware=[count] if stop_after else [],
            )
        )
        if not stop_after:
            await working
            tell()
            return
        await enough.wait()
        tell(ended=ended, done=stop_after)
        working.cancel()
        await asyncio.wait([working])


def main() -> None:
    """The command line that `_sides` speaks."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    loading = verbs.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("jobs", type=int)
    loading.add_argument("--kind", choices=("async", "sync", "lock"), default="async")
    loading.add_argument("--locks", type=int, default=1)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--concurrency", type=int, default=20)
    working.add_argument("--stop-after", type=int, default=0)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        asyncio.run(prepare(asked.url))
    elif asked.verb == "load":
        asyncio.run(load(asked.url, asked.jobs, asked.kind, asked.locks))
    else:
        asyncio.run(work(asked.url, asked.concurrency, asked.stop_after))


if __name__ == "__main__":
    main()
