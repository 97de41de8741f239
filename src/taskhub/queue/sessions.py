"""Which transaction a plain `defer()` means: the one that this asyncio task or thread has open."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_session, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from taskhub.queue.context import running


class AmbiguousTransaction(RuntimeError):
    """It cannot be told which transaction the job belongs to; pass `session=`."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An asyncio task, or a thread where no event loop runs; and the job that runs there, if any."""

    thread: int
    task: int | None
    job: tuple[int, int] | None

    @classmethod
    def here(cls) -> "Owner":
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        context = running.get()
        job = (context.job_id, context.claim) if context is not None else None
        return cls(threading.get_ident(), id(task) if task is not None else None, job)


class OpenSessions:
    """The transactions that were opened through a hub or a bound sessionmaker, with their owners.

    A registry of the process, not a context variable: what a thread-pool dependency opens must be
    seen, and refused, by the endpoint that runs in another thread.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[Session, Owner]] = {}
        self._mutex = threading.Lock()

    def opened(self, session: Session) -> None:
        """Note that `session` has begun a transaction here."""
        with self._mutex:
            self._open[id(session)] = (session, Owner.here())

    def closed(self, session: Session) -> None:
        """Note that its transaction is over."""
        with self._mutex:
            self._open.pop(id(session), None)

    def current(self, *, sync: bool) -> Session | None:
        """The session whose transaction plain `defer()` joins, or None: there is none anywhere.

        Raises:
            AmbiguousTransaction: two are open here, or one is open that may or may not be meant.
        """
        here = Owner.here()
        with self._mutex:
            # Jobs of one worker have nothing to hand to each other, nor to what runs beside it.
            entries = [(s, owner) for s, owner in self._open.values() if owner.job == here.job]
        mine = [session for session, owner in entries if owner == here]
        if len(mine) > 1:
            raise AmbiguousTransaction(
                f"{len(mine)} transactions are open here; pass session= to say which one is meant"
            )
        if mine:
            if sync and async_session(mine[0]) is not None:
                raise AmbiguousTransaction(
                    "the open transaction is asynchronous; use `await task.defer_async(...)` or pass session="
                )
            return mine[0]
        if entries:
            raise AmbiguousTransaction(
                "a transaction is open in another asyncio task or thread, none here; pass session= "
                "to join it, or options(autocommit=True) to commit the job by itself"
            )
        return None

    def has_any_here(self) -> bool:
        """Whether one is open in this asyncio task or thread."""
        here = Owner.here()
        with self._mutex:
            return any(owner == here for _, owner in self._open.values())

    def bind(self, maker: Any) -> None:
        """Watch every session that `maker` makes from now on.

        Raises:
            TypeError: it is no sessionmaker, async_sessionmaker or scoped_session.
        """
        if isinstance(maker, scoped_session):
            maker = maker.session_factory
        if isinstance(maker, async_sessionmaker):
            # Events hang on the class, and the class may be shared with other makers.
            shared = maker.kw.get("sync_session_class", Session)
            target: Any = type("BoundSession", (shared,), {})
            maker.configure(sync_session_class=target)
        elif isinstance(maker, sessionmaker):
            target = maker
        else:
            raise TypeError(f"bind takes a sessionmaker, got {type(maker).__name__}")
        event.listen(target, "after_transaction_create", self._begun(self.opened))
        event.listen(target, "after_transaction_end", self._begun(self.closed))

    @staticmethod
    def _begun(note: Callable[[Session], None]) -> Callable[[Session, SessionTransaction], None]:
        def on_transaction(session: Session, transaction: SessionTransaction) -> None:
            if transaction.parent is None:  # savepoints belong to the transaction around them
                note(session)

        return on_transaction
