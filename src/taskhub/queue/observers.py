"""Who stands around a job: around the call that defers it, and around each of its attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from taskhub.queue.acks import Claimed
from taskhub.queue.rows import NewJob

if TYPE_CHECKING:
    from taskhub.queue.context import Context


class Observer:
    """What tracers override; each part by itself does nothing. Put it to `hub.observers`.

    What is raised inside is passed on by all of them, and none of them may raise by itself.
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


@contextmanager
def deferring(observers: Sequence[Observer], jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """All of them around a statement that stores jobs."""
    with ExitStack() as stack:
        for observer in observers:
            jobs = stack.enter_context(observer.deferring(jobs))
        yield jobs


@contextmanager
def attempt(observers: Sequence[Observer], job: Claimed, context: Context) -> Iterator[None]:
    """All of them around a call of a task."""
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(observer.attempt(job, context))
        yield


@contextmanager
def inside_child(observers: Sequence[Observer], context: Context) -> Iterator[None]:
    """All of them around a call in a child process."""
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(observer.inside_child(context))
        yield
