"""`taskhub up`: one command for one machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import click

from taskhub import embedded, migrations
from taskhub.cli.dashboard import beside_if_possible
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.worker import announce, probed_at, probes, set_up_logs, work
from taskhub.queue import Hub


@verb("up", examples=("taskhub up", "taskhub up -A shop:hub", "taskhub up --probe-port 9465"))
@click.option("--concurrency", "-c", type=click.IntRange(min=1), help="Jobs at once.")
@probes("0 takes a free port.")
def up(asked: Asked, concurrency: int | None, probe_port: int | None, probe_host: str) -> None:
    """Start the embedded Postgres if no database is named, migrate, run a worker and the dashboard.

    The worker serves all queues. Ctrl-C ends all of it; the embedded Postgres is stopped too.
    """
    set_up_logs("info", None)
    hub, app = asked.hub(embedded=True, concurrency=concurrency)
    owns = hub.settings.database_url == "embedded"
    try:
        report = migrations.upgrade(hub.engine, hub.settings)
        for line in report.left_out:
            say(f"warning: {line}")
        announce(hub, app, None)
        with beside_if_possible(hub), _watching(hub):
            work(hub.worker(name="up", signals=True), probed_at(probe_host, probe_port))
    finally:
        hub.close()
        if owns:
            embedded.stop(hub.settings)
            say("the embedded Postgres is stopped")


def _watching(hub: Hub) -> AbstractContextManager[None]:
    """Somebody who tells where the worker cannot: a paused queue, a database that is away."""
    if "queue_monitor" not in hub.tasks:
        return nullcontext()
    from taskhub.system.watch import watching

    return watching(hub)
