"""A procrastinate App at work on our worker: what its tasks and middleware see of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector, worker
from procrastinate.connector import BaseAsyncConnector
from procrastinate.job_context import AbortReason
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.testing import InMemoryConnector
from sqlalchemy import text

from taskhub import db, migrations
from taskhub.queue.acks import Claimed
from taskhub.queue.context import Context
from taskhub.queue.worker import Worker

if TYPE_CHECKING:
    from taskhub.queue.foreign_app import AppHub

logger = logging.getLogger("taskhub.worker")
# procrastinate's options of a worker that say nothing to ours, and what says the like to it.
WITHOUT_EFFECT = {
    "fetch_job_polling_interval": "TASKHUB_POLL_SECONDS",
    "abort_job_polling_interval": "requests to stop are looked for every second",
    "listen_notify": "TASKHUB_NOTIFY",
    "delete_jobs": "jobs that succeeded always move to the history",
    "update_heartbeat_interval": "TASKHUB_LEASE_SECONDS",
    "stalled_worker_timeout": "TASKHUB_LEASE_SECONDS",
}


class OtherPlace(RuntimeError):
    """The App's own connector works in another database or schema than the hub."""


class StandIn(worker.Worker):
    """What middleware gets as the worker, and `App.run_worker` runs: ours, in procrastinate's terms."""

    def __init__(self, hub: AppHub, app: App, **options: Any) -> None:
        super().__init__(app, **options)
        for name in sorted(WITHOUT_EFFECT.keys() & options.keys()):
            logger.info(
                "worker option has no effect",
                extra={"option": name, "instead": WITHOUT_EFFECT[name]},
            )
        self._hub = hub
        self.ours: AppWorker | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which the jobs run."""
        assert self._loop is not None  # noqa: S101 - it is set before there are jobs
        return self._loop

    def claimed(self, context: Context) -> Claimed:
        """The row of a job that runs, as it was claimed."""
        assert self.ours is not None  # noqa: S101 - it runs the job
        return self.ours.claimed(context.job_id)

    def abort_reason(self, context: Context) -> AbortReason | None:
        """Why a job should stop; None: it should not."""
        if not context.cancelled:
            return None
        is_over = self.ours is None or self.ours.is_interrupting(context.job_id)
        return AbortReason.SHUTDOWN if is_over else AbortReason.USER_REQUEST

    def stop(self) -> None:
        """Take no more jobs and end when those that run have ended; from any thread."""
        if self.ours is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self.ours.stop)

    async def run(self) -> None:
        """Run jobs until stopped, on our engine."""
        ours = self.our_worker(signals=self.install_signal_handlers)
        await ours.run()
        if ours.abandoned and self.install_signal_handlers:
            # Their jobs were given back and start elsewhere in a few seconds: by then the threads
            # must be gone, and nothing but the end of the process stops a thread.
            logging.shutdown()
            os._exit(0)

    def our_worker(self, *, signals: bool) -> AppWorker:
        """The worker that does what the options say."""
        queues = self.queues
        if queues is not None and not isinstance(queues, Mapping):
            queues = list(queues)
        return AppWorker(
            self._hub,
            self,
            queues=queues,
            concurrency=self.concurrency,
            wait=self.wait,
            name=self.worker_name or worker.WORKER_NAME,
            signals=signals,
        )


# The stand-in under which the job of this asyncio task or thread runs.
serving: ContextVar[StandIn] = ContextVar("taskhub_serving")


class AppWorker(Worker):
    """Our worker with the App open, and its periodic tasks deferred, while it runs."""

    def __init__(self, hub: AppHub, stand_in: StandIn, **options: Any) -> None:
        super().__init__(hub, **options)
        self._app = hub.app
        self._stand_in = stand_in
        stand_in.ours = self

    def claimed(self, job_id: int) -> Claimed:
        """The row of a job that runs here."""
        return self._tenure.runs[job_id].job

    def is_interrupting(self, job_id: int) -> bool:
        """Whether a job is given back to the queue, because the worker ends."""
        return job_id not in self._tenure.runs

    def stop(self, drain_seconds: float | None = None) -> None:
        """As our worker's; procrastinate's shutdown_graceful_timeout is the time to drain."""
        given = self._stand_in.shutdown_graceful_timeout if drain_seconds is None else drain_seconds
        super().stop(given)

    async def run(self) -> None:
        """As our worker's.

        Raises:
            OtherPlace: jobs that the App defers would not come to this worker.
        """
        mine = await asyncio.to_thread(self._place)
        with self._serving():
            async with _at_work(self._app, self.hub.url, self.hub.settings.schema):
                await self._check_place(mine)
                deferring = asyncio.create_task(defer_periodic(self._app), name="periodic")
                try:
                    await super().run()
                finally:
                    deferring.cancel()
                    await asyncio.gather(deferring, return_exceptions=True)

    @contextlib.contextmanager
    def _serving(self) -> Iterator[None]:
        self._stand_in._loop = asyncio.get_running_loop()  # noqa: SLF001 - the stand-in is this worker
        token = serving.set(self._stand_in)
        try:
            yield
        finally:
            serving.reset(token)
            self._stand_in._loop = None  # noqa: SLF001 - as above

    def _place(self) -> tuple[str, int]:
        schema = self.hub.settings.schema
        with self.hub.engine.connect() as connection:
            migrations.require(connection, self.hub.settings)
            row = connection.execute(
                text("SELECT current_database(), CAST(CAST(to_regclass(:jobs) AS oid) AS bigint)"),
                {"jobs": f"{schema}.procrastinate_jobs"},
            ).one()
        return row[0], row[1]

    async def _check_place(self, mine: tuple[str, int]) -> None:
        found = await self._app.connector.execute_query_one_async(
            "SELECT current_database() AS database, to_regclass('procrastinate_jobs')::oid::bigint AS jobs,"
            " to_regclass('procrastinate_jobs')::text AS name"
        )
        if (found["database"], found["jobs"]) != mine:
            raise OtherPlace(
                f"the App's connector finds {found['name'] or 'no procrastinate_jobs'} in database "
                f"{found['database']}, this worker works in schema {self.hub.settings.schema} of "
                f"{mine[0]}; give both the same database, and the App's connector "
                f"kwargs={{'options': '-c search_path={self.hub.settings.schema}'}}"
            )


async def defer_periodic(app: App) -> None:
    """Defer the App's periodic tasks until cancelled; whatever happens to the database."""
    if not app.periodic_registry.periodic_tasks:
        return
    while True:
        try:
            # A new one each time: it notes a tick as deferred before it is, and the database keeps
            # a tick from being deferred twice.
            await PeriodicDeferrer(registry=app.periodic_registry, **app.periodic_defaults).worker()
        except Exception:
            logger.warning("periodic tasks could not be deferred", exc_info=True)
            await asyncio.sleep(random.uniform(1.0, 5.0))  # noqa: S311 - no secret depends on it


@asynccontextmanager
async def _at_work(app: App, url: Any, schema: str) -> AsyncIterator[None]:
    """The App with an open asynchronous connector, as a worker needs one; left as it was found."""
    connector = app.connector
    if isinstance(connector, BaseAsyncConnector) and not isinstance(connector, InMemoryConnector):
        was_open = bool(
            getattr(connector, "_async_pool", None) or getattr(connector, "_pool", None)
        )
        await app.open_async()
        try:
            yield
        finally:
            if not was_open:
                await app.close_async()
        return
    if isinstance(connector, SyncPsycopgConnector):
        arguments: dict[str, Any] = dict(connector._pool_args)  # noqa: SLF001 - as procrastinate does
    else:
        arguments = {
            "conninfo": db.conninfo(url),
            "kwargs": {"options": f"-c search_path={schema}"},
        }
    for name in ("json_dumps", "json_loads"):
        arguments[name] = getattr(connector, f"_{name}", None) or getattr(connector, name)
    other = PsycopgConnector(**arguments)
    with app.replace_connector(other):
        async with app.open_async():
            yield
