"""A task whose function is called once for many jobs: what `batch=` asks for."""

from __future__ import annotations

import collections.abc
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from taskhub.queue.acks import Claimed
from taskhub.queue.arguments import Parameters
from taskhub.queue.context import Context
from taskhub.queue.items import CallContext, Done, Item
from taskhub.queue.reading import UnreadableArguments, objects_together
from taskhub.queue.task import Task
from taskhub.queue.versions import bring_up

P = ParamSpec("P")
R = TypeVar("R")

MOST_JOBS = 1000
MOST_LINGER_SECONDS = 60.0
_LISTS = (list, collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """What was declared.

    Attributes:
        most: jobs in one call.
        linger: seconds that a call waits for more jobs.
        by: a template over the arguments; only jobs for which it gives one text share a call.
        takes: what makes `item.args` of a job's arguments; its signature is that of `defer`.
    """

    most: int
    linger: float
    by: str | None
    takes: Callable[..., Any]

    @classmethod
    def declared(
        cls,
        function: Callable[..., Any],
        options: dict[str, Any],
        transactional: bool,
        executor: str | None,
    ) -> Batching | None:
        """What the options say of batches, taken out of them and checked; None: nothing.

        Raises:
            ValueError: a number that cannot be, or an option that needs `batch=`.
            TypeError: the function does not take a list of items, or cannot run so.
        """
        given = {name: options.pop(name, None) for name in ("batch", "linger", "batch_by", "of")}
        most, linger = given["batch"], given["linger"]
        if most is None:
            for name, value in given.items():
                if value is not None:
                    raise ValueError(f"{name} must go with batch=, got {value!r}")
            return None
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_JOBS:
            raise ValueError(f"batch must be a number from 1 to {MOST_JOBS}, got {most!r}")
        if linger is not None and not 0 <= linger <= MOST_LINGER_SECONDS:
            raise ValueError(
                f"linger must be from 0 to {MOST_LINGER_SECONDS:g} seconds, got {linger}"
            )
        if transactional:
            raise TypeError(
                "a batch task must not be transactional, since one commit cannot end some of its jobs "
                "and not the others; open hub.transaction() in it"
            )
        if executor == "process":
            raise TypeError(
                'a batch task must run on the loop or in a thread, got executor="process"'
            )
        takes = given["of"] or _taken(function)
        return cls(most=most, linger=linger or 0.0, by=given["batch_by"], takes=takes)


def _taken(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the items of the function's list are annotated with; dict where nothing is said."""
    parameters = list(inspect.signature(function).parameters.values())
    first = parameters[0] if parameters else None
    if first is None or any(p.default is p.empty for p in parameters[1:]):
        raise TypeError(
            f"a batch task must take one parameter, a list[Item], got {inspect.signature(function)} "
            f"in {function.__qualname__}"
        )
    hint = typing.get_type_hints(function, include_extras=True).get(first.name, list)
    item = (*typing.get_args(hint), Item)[0]
    if (typing.get_origin(hint) or hint) not in _LISTS or (
        (typing.get_origin(item) or item) is not Item
    ):
        raise TypeError(
            f"a batch task must take a list[Item], got {first.name}: {hint} "
            f"in {function.__qualname__}"
        )
    made = (*typing.get_args(item), dict)[0]
    holder = typing.get_origin(made) or made
    return dict if made is Any or holder in (dict, Mapping, collections.abc.Mapping) else holder


@dataclass(frozen=True)
class BatchParameters(Parameters):
    """What a job of a batch task is given: what its `takes` takes."""

    @cached_property
    def _is_free(self) -> bool:
        return self.function is dict

    @cached_property
    def _all(self) -> inspect.Signature:
        if self._is_free:
            return inspect.signature(lambda **_: None)
        if not typing.is_typeddict(self.function):
            return inspect.signature(self.function)
        required: frozenset[str] = getattr(self.function, "__required_keys__", frozenset())
        named, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
        return inspect.Signature([
            inspect.Parameter(name, named, default=empty if name in required else None)
            for name in self._hints
        ])  # fmt: skip

    @cached_property
    def _hints(self) -> dict[str, Any]:
        if self._is_free:
            return {}
        # NotRequired is no type that a value could be converted to.
        extras = not typing.is_typeddict(self.function)
        hints = typing.get_type_hints(self.function, include_extras=extras)
        made = getattr(self.function, "__init__", None) if isinstance(self.function, type) else None
        if inspect.isfunction(made) and not hints:
            hints = typing.get_type_hints(made, include_extras=True)
        return {name: hint for name, hint in hints.items() if name != "return"}

    @cached_property
    def context_name(self) -> str | None:
        """None: a call has many contexts, which its items carry."""
        return None

    @cached_property
    def session_name(self) -> str | None:
        """None: a batch task opens its own transactions."""
        return None

    def fill(self, template: str, given: Mapping[str, Any]) -> str:
        """As for other tasks; what is not declared must be given.

        Raises:
            TypeError: it is not.
        """
        try:
            return super().fill(template, given)
        except KeyError as error:
            raise TypeError(f"arguments must have {error}, which {template!r} names") from None

    def check_template(self, template: str, what: str) -> None:
        """As for other tasks; where every name is taken, none is wrong."""
        if not self._is_free:
            super().check_template(template, what)


@dataclass(frozen=True, eq=False)
class BatchTask(Task[P, R]):
    """A task that is called with a list of items."""

    batching: Batching = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batching.by is not None:
            self.parameters.check_template(self.batching.by, "batch_by")

    @cached_property
    def parameters(self) -> Parameters:
        """What `defer` takes."""
        return BatchParameters(self.batching.takes)

    def call(self, stored: str, context: Context, session: Any = None) -> Any:  # noqa: ARG002 - other tasks take what is stored
        """Call the function with the items of a call's context."""
        if not isinstance(context, CallContext):
            raise TypeError("a batch task is called for a batch")
        return self.function(list(context.items))

    def read(self, job: Claimed, context: Context) -> Any:
        """What `item.args` is, of what is stored with a job.

        Raises:
            UnreadableArguments: it does not fit.
        """
        if self.batching.takes is dict:
            # A tenth of what the way over a signature with **kwargs takes.
            return _as_dict(job, self._current(job))
        args, kwargs = self._reader.read(self._current(job), context)
        try:
            return self.batching.takes(*args, **kwargs)
        except Exception as error:
            raise UnreadableArguments(
                f"arguments do not fit task {job.task_name}: {error}"
            ) from error

    def read_together(self, jobs: Sequence[Claimed]) -> list[dict[str, Any]] | None:
        """What `item.args` is of all of these; None: each must be read by itself."""
        if self.batching.takes is not dict:
            return None
        version = self.stored_version
        if any(job.version != version for job in jobs):
            return None
        return objects_together([job.args for job in jobs])

    def _current(self, job: Claimed) -> str:
        if job.version == self.stored_version:
            return job.args
        return bring_up(self, job.args, job.version or 1)

    def key_of(self, job: Claimed) -> str:
        """Jobs with one key may share a call; what cannot be read shares with what cannot, either."""
        if self.batching.by is None:
            return ""
        try:
            return self.parameters.fill(self.batching.by, json.loads(self._current(job)))
        except Exception:  # noqa: BLE001 - whatever it is, reading the arguments says it of the one job
            return ""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function without the queue, for one item with these arguments; what it gets to be.

        Raises what the item is failed, retried or snoozed with.
        """
        stored = self.new_job(args, kwargs).args
        job = Claimed(
            0,
            self.queue,
            self.name,
            0,
            None,
            None,
            stored,
            0,
            0,
            0,
            None,
            self.stored_version,
            None,
            0.0,
        )
        alone = CallContext(self.hub, 0, self.name, self.queue, 1, 0, 0, "")
        item = Item(self.read(job, alone), alone, alone)
        alone.items = [item]
        answer = self.call(stored, alone)
        return _later(answer, item) if inspect.isawaitable(answer) else _outcome(item)


def _as_dict(job: Claimed, stored: str) -> dict[str, Any]:
    try:
        given = json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise UnreadableArguments(f"arguments do not fit task {job.task_name}: {error}") from error
    if not isinstance(given, dict):
        raise UnreadableArguments(
            f"arguments do not fit task {job.task_name}: they must be an object, got {type(given)}"
        )
    return given


async def _later(answer: Any, item: Item[Any]) -> Any:
    await answer
    return _outcome(item)


def _outcome(item: Item[Any]) -> Any:
    said = item._close()  # noqa: SLF001 - an item and its task are one thing seen from two sides
    if isinstance(said, Exception):
        raise said
    return said.result if isinstance(said, Done) else None
