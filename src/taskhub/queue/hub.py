"""Hub: declares tasks, opens transactions, watches sessions, makes workers."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any

from procrastinate import App
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskhub.queue import collector, index_args, observers, parting
from taskhub.queue.blueprint import Blueprint
from taskhub.queue.connections import Connections
from taskhub.queue.context import check_claim, running
from taskhub.queue.cron_actions import Crons
from taskhub.queue.crons import Switched
from taskhub.queue.defer import Deferrer
from taskhub.queue.events import EventName, Hook, Hooks, JobEvent
from taskhub.queue.fairness import Fairness
from taskhub.queue.limits import Limits
from taskhub.queue.observers import Observer
from taskhub.queue.options import DeferOptions
from taskhub.queue.rows import NewJob
from taskhub.queue.sessions import OpenSessions
from taskhub.queue.task import Task
from taskhub.queue.unique import JobIds
from taskhub.queue.worker import Worker
from taskhub.settings import Settings


class Hub(Connections, Limits, Fairness, Blueprint):
    """One database with its tasks; nothing is opened before it is needed.

    Args:
        database_url: postgresql://…, or "embedded"; default: as the settings say.
        settings: default: `taskhub.settings.load()`, at first use.

    Attributes:
        importable_as: module and name under which a child process finds it; None: it is looked for.
        switched: schedules whose expressions are settings.
        observers: who stands around defers and attempts, in the order in which they came.
    """

    importable_as: tuple[str, str] | None = None
    _has_undeclared_args = False

    def __init__(
        self, database_url: str | None = None, *, settings: Settings | None = None
    ) -> None:
        Blueprint.__init__(self)
        Connections.__init__(self, database_url, settings)
        self.hooks = Hooks()
        self.switched: list[Switched] = []
        self.observers: list[Observer] = []
        self._sessions = OpenSessions()

    @classmethod
    def from_procrastinate(
        cls, app: App, database_url: str | None = None, *, settings: Settings | None = None
    ) -> Hub:
        """A hub that runs an existing procrastinate App, unchanged, on our worker.

        Its database is `database_url`, else the one of the App's connector, else the settings'.
        `app.run_worker()` runs our worker from then on; see docs/procrastinate.md.
        """
        from taskhub.queue import foreign_app

        return foreign_app.wrap(app, database_url, settings=settings)

    # Tasks

    def _register(self, task: Task[..., Any]) -> None:
        super()._register(task)
        self._has_undeclared_args = self._has_undeclared_args or bool(task.index_args)
        task._home[:] = [self]  # noqa: SLF001 - a task and its hub are one thing seen from two sides

    def add(self, blueprint: Blueprint) -> None:
        """Take in the tasks of a blueprint.

        Raises:
            ValueError: a name is taken.
        """
        for task in dict.fromkeys(blueprint.tasks.values()):
            self._register(task)

    def route(self, task_name: str) -> str | None:
        """The queue that `[tool.taskhub.routes]` gives to a task, by the first glob that fits."""
        routes = self.settings.routes
        return next((q for glob, q in routes.items() if fnmatch.fnmatchcase(task_name, glob)), None)

    def on(self, name: EventName, hook: Hook) -> None:
        """Call `hook` with a JobEvent at every event of this name, in the process where it happens."""
        self.hooks.on(name, hook)

    # Transactions

    def bind(self, maker: Any) -> None:
        """Let plain `defer()` see the sessions of this sessionmaker, sync or async."""
        self._sessions.bind(maker)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A Session whose transaction commits at the end, or rolls back on an exception.

        Inside a running job it first checks that the job still belongs to this worker.

        Raises:
            ClaimLost: it does not; everything is rolled back.
        """
        with Session(self.engine) as session, session.begin(), self.opened(session):
            yield session
            session.flush()
            if (context := running.get()) is not None and context.hub is self:
                check_claim(session.connection(), context)

    def has_transaction_here(self) -> bool:
        """Whether a transaction that `defer()` would join is open in this asyncio task or thread."""
        return self._sessions.has_any_here()

    @contextmanager
    def opened(self, session: Session) -> Iterator[None]:
        """Let plain `defer()` join the transaction that `session` has here."""
        self._sessions.opened(session)
        try:
            yield
        finally:
            self._sessions.closed(session)

    @asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncSession]:
        """As `transaction`, with an AsyncSession; defer in it by `await task.defer_async(...)`."""
        async with AsyncSession(self.async_engine) as session, session.begin():
            with self.opened(session.sync_session):
                yield session
                await session.flush()
                if (context := running.get()) is not None and context.hub is self:
                    await session.run_sync(lambda sync: check_claim(sync.connection(), context))

    # Jobs in and out

    @cached_property
    def _deferrer(self) -> Deferrer:
        return Deferrer(self.url, self.settings)

    def insert(self, options: DeferOptions, jobs: Sequence[NewJob]) -> JobIds:
        """Ids of new jobs, stored in the transaction that `options` names or that is open here."""
        if self.observers:
            with observers.deferring(self.observers, jobs) as traced:
                return self._insert(options, traced)
        return self._insert(options, jobs)

    def _insert(self, options: DeferOptions, jobs: Sequence[NewJob]) -> JobIds:
        self._declare_args()
        target = self._target(options, sync=True)
        if target is not None:
            return self._deferrer.insert(target, jobs)
        if len(jobs) == 1:
            with self.autocommit.connect() as connection:
                return self._deferrer.insert(connection, jobs)
        with self.engine.begin() as connection:
            return self._deferrer.insert(connection, jobs)

    async def insert_async(self, options: DeferOptions, jobs: Sequence[NewJob]) -> JobIds:
        """As `insert`, also for asynchronous sessions and connections."""
        if self.observers:
            with observers.deferring(self.observers, jobs) as traced:
                return await self._insert_async(options, traced)
        return await self._insert_async(options, jobs)

    async def _insert_async(self, options: DeferOptions, jobs: Sequence[NewJob]) -> JobIds:
        if self._has_undeclared_args:
            await asyncio.to_thread(self._declare_args)
        target = self._target(options, sync=False)
        if target is not None:
            return await self._deferrer.insert_async(target, jobs)
        async with self.async_engine.begin() as connection:
            return await self._deferrer.insert_async(connection, jobs)

    def _declare_args(self) -> None:
        if self._has_undeclared_args:
            index_args.declare(self)
            self._has_undeclared_args = False

    def _target(self, options: DeferOptions, *, sync: bool) -> Any:
        given = [options.get("session"), options.get("connection"), options.get("autocommit")]
        if sum(bool(g is not None and g is not False) for g in given) > 1:
            raise TypeError("give one of session, connection and autocommit")
        if options.get("autocommit"):
            return None
        explicit = given[0] if given[0] is not None else given[1]
        if explicit is not None:
            return explicit
        session = self._sessions.current(sync=sync)
        if session is None or sync:
            return session
        from sqlalchemy.ext.asyncio import async_session

        return async_session(session) or session

    def tell_deferred(self, job_id: int, task_name: str, queue: str) -> None:
        """Tell the hooks of job.deferred; the transaction may still roll back."""
        if self.hooks.wanted("job.deferred"):
            self.hooks.tell(
                JobEvent(name="job.deferred", job_id=job_id, task_name=task_name, queue=queue)
            )

    @property
    def crons(self) -> Crons:
        """The schedules: how they stand, pause, resume, run now."""
        return Crons(self)

    # Workers

    def worker(self, **options: Any) -> Worker:
        """A worker for this hub's tasks; see Worker for its options."""
        return Worker(self, **options)

    def run_worker(
        self,
        *,
        queues: Sequence[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        wait: bool = True,
    ) -> None:
        """Run jobs until SIGTERM or Ctrl-C; with wait=False only until no job is ready.

        A signal drains for `drain_seconds`; what still runs in a thread then is given back to the
        queue, and the process ends on the spot.

        Raises:
            SchemaBehind: the database must be migrated first.
            SystemExit: `max_overdue_threads` cannot be stopped; start the process anew.
        """
        worker = self.worker(queues=queues, concurrency=concurrency, wait=wait, signals=wait)
        with collector.calm():
            code = asyncio.run(parting.to_the_end(worker, self._work(worker)))
        if code:
            raise SystemExit(code)

    async def run_worker_async(
        self,
        *,
        queues: Sequence[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        wait: bool = True,
    ) -> None:
        """As `run_worker`, on the running event loop; cancel the task to stop it."""
        await self._work(self.worker(queues=queues, concurrency=concurrency, wait=wait))

    async def _work(self, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            await self._leave_loop()
