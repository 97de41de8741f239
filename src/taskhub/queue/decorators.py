"""What `@hub.task` and `@hub.cron` make of a function, for type checkers."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskhub.queue.context import Context
from taskhub.queue.items import Item
from taskhub.queue.task import Task

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class TaskDecorator(Protocol):
    """Turns a function, sync or async, with or without a Context, into a Task."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, AsyncSession, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, Session, P], R], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Session, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class CronDecorator(Protocol):
    """As TaskDecorator, and a Task stays what it is."""

    @overload
    def __call__(self, task: Task[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BatchDecorator(Protocol[P, A]):
    """Turns a function over a list of items, sync or async, into a Task that defers what makes one."""

    @overload
    def __call__(
        self, function: Callable[[list[Item[A]]], Coroutine[Any, Any, None]], /
    ) -> Task[P, Any]: ...
    @overload
    def __call__(self, function: Callable[[list[Item[A]]], None], /) -> Task[P, Any]: ...


class UntypedBatchDecorator(Protocol):
    """As BatchDecorator; that `defer` is given what fits is checked when it is called."""

    @overload
    def __call__(
        self, function: Callable[[list[Item[A]]], Coroutine[Any, Any, None]], /
    ) -> Task[..., Any]: ...
    @overload
    def __call__(self, function: Callable[[list[Item[A]]], None], /) -> Task[..., Any]: ...
