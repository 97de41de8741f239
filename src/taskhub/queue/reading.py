"""From what is stored as a job's arguments to the call of its task's function."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.scanner import make_scanner
from typing import TYPE_CHECKING, Any

from taskhub.queue import sealing
from taskhub.queue.values import decode

if TYPE_CHECKING:
    from taskhub.queue.arguments import Parameters
    from taskhub.queue.context import Context

_NOTHING: Mapping[str, Any] = {}
# A third of what json.loads takes, which looks for space around the value first.
_scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # typeshed takes a scanner for it
# What JSON gives as it is: a value of just this class, where this class is asked for, is ready.
_PLAIN = frozenset({int, str, float, bool})


class UnreadableArguments(ValueError):
    """What is stored as the job's arguments cannot be given to the task."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How one function is called: found out once, since a worker does it ten thousand times a second.

    Attributes:
        hints: annotation by name, of the parameters that a name alone can fill; None: only the long
            way over the signature fits, for functions with **kwargs or positional-only parameters.
    """

    parameters: Parameters
    hints: Mapping[str, Any] | None
    required: frozenset[str]
    context_name: str | None
    session_name: str | None

    @classmethod
    def of(cls, parameters: Parameters) -> Reader:
        """What the signature says; evaluates the function's annotations."""
        kept = parameters.signature.parameters.values()
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        is_plain = all(p.kind in named for p in kept)
        return cls(
            parameters,
            {p.name: parameters.annotation(p.name) for p in kept} if is_plain else None,
            frozenset(p.name for p in kept if p.default is p.empty),
            parameters.context_name,
            parameters.session_name,
        )

    def read(
        self, stored: str, context: Context, session: Any = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and named arguments of one run, from the text of a JSON object.

        Raises:
            UnreadableArguments: it is none, or does not fit the function any more.
        """
        try:
            given = _NOTHING if stored == "{}" else _loads(stored)
            fits = self.hints is not None and self.required <= given.keys() <= self.hints.keys()
            secrets = _NOTHING
            if self.parameters.secrets:
                given, secrets = sealing.opened(given, self.parameters.secrets, context)
            if self.hints is None or not fits:
                injected = {**self._injected(context, session), **secrets}
                bound = self.parameters.call_with(given, injected)
                return bound.args, bound.kwargs
            read = {
                name: value
                if (hint := self.hints[name]) is type(value) and hint in _PLAIN
                else decode(value, hint, name)
                for name, value in given.items()
            }
        except (ValueError, TypeError, RecursionError, AttributeError) as error:
            raise UnreadableArguments(
                f"arguments do not fit task {context.task_name}: {error}"
            ) from error
        if secrets:
            read.update(secrets)
        if self.context_name is not None:
            read[self.context_name] = context
        if self.session_name is not None:
            read[self.session_name] = session
        return (), read

    def _injected(self, context: Context, session: Any) -> dict[str, Any]:
        named = ((self.context_name, context), (self.session_name, session))
        return {name: value for name, value in named if name is not None}


def objects_together(stored: Sequence[str]) -> list[dict[str, Any]] | None:
    """What many texts of JSON objects say, in their order, by one look at all; None: look at each.

    It takes half the time, and a name that many have is one text in memory.
    """
    joined = f"[{','.join(stored)}]"
    try:
        values, end = _scan(joined, 0)
    except (StopIteration, ValueError, RecursionError):
        return None
    is_sound = end == len(joined) and len(values) == len(stored)
    return values if is_sound and all(type(value) is dict for value in values) else None


def _loads(stored: str) -> Any:
    try:
        value, end = _scan(stored, 0)
    except StopIteration:
        end = -1
    # json.loads knows what else there may be, and says what is wrong with it.
    return value if end == len(stored) else json.loads(stored)
