"""`taskhub bench`: what this database can do, in some seconds."""

from __future__ import annotations

import dataclasses

import click

from taskhub.cli.options import Asked, say, verb
from taskhub.cli.output import write_object


@verb("bench", examples=("taskhub bench", "taskhub bench --jobs 100000 -c 100 -o json"))
@click.option("--jobs", type=click.IntRange(100, 5_000_000), default=10_000, show_default=True)
@click.option("--concurrency", "-c", type=click.IntRange(1, 10_000), help="Jobs at once.")
def bench(asked: Asked, jobs: int, concurrency: int | None) -> None:
    """Measure defers, draining and the wait of an idle worker, with jobs that do nothing.

    It works in a schema of its own that is dropped at the end; no job of yours is touched, but the server
    has the load. One worker in this process: more processes drain more.
    """
    from taskhub.system.bench import measure

    hub, _ = asked.hub(tasks=False)
    found = measure(hub, jobs=jobs, concurrency=concurrency or hub.settings.concurrency, tell=say)
    hub.close()
    write_object(asked, dataclasses.asdict(found), key="drained_per_second")
