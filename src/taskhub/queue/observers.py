"""Who stands around a job: around the call that defers it, and around each of its attempts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from taskhub.queue.acks import Claimed
from taskhub.queue.rows import NewJob

if TYPE_CHECKING:
    from taskhub.queue.context import Context

logger = logging.getLogger("taskhub.observers")


class Observer:
    """What tracers override; each part by itself does nothing. Put it to `hub.observers`.

    What is raised inside goes on to the job, whatever they do with it; what they raise by themselves is
    logged, and the job goes on without them.
    """

    def deferring(self, jobs: Sequence[NewJob]) -> AbstractContextManager[Sequence[NewJob]]:
        """Around the statement that stores these jobs; gives the rows that are stored."""
        return nullcontext(jobs)

    def attempt(self, job: Claimed, context: Context) -> AbstractContextManager[object]:  # noqa: ARG002 - for those that override it
        """Around one call of a task in a worker; of a batch task with the first of its jobs."""
        return nullcontext()

    def inside_child(self, context: Context) -> AbstractContextManager[object]:  # noqa: ARG002 - as above
        """Around the call in the child process, if the hub has observers there too."""
        return nullcontext()


class _Guarded:
    """One observer's part, which cannot fail the job or the defer that it only watches."""

    def __init__(
        self, part: Callable[[], AbstractContextManager[Any]], otherwise: Any = None
    ) -> None:
        self._part = part
        self._otherwise = otherwise
        self._entered: AbstractContextManager[Any] | None = None

    def __enter__(self) -> Any:
        try:
            part = self._part()
            given = part.__enter__()
        except Exception:
            logger.exception("an observer failed; it is left out of this one")
            return self._otherwise
        self._entered = part
        return given

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._entered is None:
            return
        try:
            self._entered.__exit__(kind, error, where)
        except Exception as own:
            # What the job itself raised goes on by itself.
            if own is not error:
                logger.exception("an observer failed when it was over")


@contextmanager
def deferring(observers: Sequence[Observer], jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """All of them around a statement that stores jobs."""
    with ExitStack() as stack:
        for observer in observers:
            jobs = stack.enter_context(_Guarded(partial(observer.deferring, jobs), jobs))
        yield jobs


@contextmanager
def attempt(observers: Sequence[Observer], job: Claimed, context: Context) -> Iterator[None]:
    """All of them around a call of a task."""
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(_Guarded(partial(observer.attempt, job, context)))
        yield


@contextmanager
def inside_child(observers: Sequence[Observer], context: Context) -> Iterator[None]:
    """All of them around a call in a child process."""
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(_Guarded(partial(observer.inside_child, context)))
        yield
