"""A task's parameters: bound when deferred, checked before any SQL, read back by the worker."""

import inspect
import json
import math
import string
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from taskhub.queue.context import Context
from taskhub.queue.values import decode, encode

MAX_DEPTH = 64
MAX_NAME_BYTES = 40  # the channel of a NOTIFY is 63 bytes, procrastinate's prefix takes 23
MAX_LOCK_BYTES = 1024  # an index entry holds 2.7 kB
INT64 = range(-(2**63), 2**63)
INT32 = range(-(2**31), 2**31)


class BadArgument(ValueError):
    """A value that Postgres or JSON cannot hold; nothing was sent to the database."""


@dataclass(frozen=True)
class Parameters:
    """What a task's function takes, without the context that the worker gives it."""

    function: Callable[..., Any]

    @cached_property
    def _all(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    @cached_property
    def context_name(self) -> str | None:
        """The name of the first parameter, where it is annotated as Context."""
        first = next(iter(self._all.parameters), None)
        return first if first is not None and self._hints.get(first) is Context else None

    @cached_property
    def signature(self) -> inspect.Signature:
        """What the caller of `defer` may give."""
        kept = [p for p in self._all.parameters.values() if p.name != self.context_name]
        return self._all.replace(parameters=kept)

    @cached_property
    def names(self) -> frozenset[str]:
        """The parameters' names, for lock templates."""
        return frozenset(self._all.parameters)

    def annotation(self, name: str) -> Any:
        """What a parameter is annotated as; Any where it is not, or there is none of this name."""
        return self._hints.get(name, Any)

    @property
    def returns(self) -> Any:
        """The annotation of what the function returns; Any where there is none."""
        return self._hints.get("return", Any)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What was given, by name, as JSON; defaults stay with the function.

        Raises:
            TypeError: a wrong name, a missing or superfluous argument, or a value of another type.
        """
        bound = self.signature.bind(*args, **kwargs)
        try:
            return self._encoded(bound)
        except RecursionError:
            raise BadArgument(f"arguments must be at most {MAX_DEPTH} levels deep") from None

    def _encoded(self, bound: inspect.BoundArguments) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                given.update(
                    {k: encode(v, self._hints.get(name, Any), k) for k, v in value.items()}
                )
            else:
                given[name] = encode(value, self._hints.get(name, Any), name)
        return given

    def call_with(self, stored: Mapping[str, Any], context: Context) -> inspect.BoundArguments:
        """The arguments of one run: what was stored, read by annotation, and the context.

        Raises:
            TypeError: what is stored does not fit the function any more.
        """
        extra = next(
            (
                p.name
                for p in self._all.parameters.values()
                if p.kind is inspect.Parameter.VAR_KEYWORD
            ),
            None,
        )
        read: dict[str, Any] = {}
        for name, value in stored.items():
            hint = self._hints.get(name if name in self.names else extra or name, Any)
            read[name] = decode(value, hint, name)
        if self.context_name is not None:
            read[self.context_name] = context
        first = [
            read.pop(p.name)
            for p in self._all.parameters.values()
            if p.kind is inspect.Parameter.POSITIONAL_ONLY and p.name in read
        ]
        return self._all.bind(*first, **read)

    def fill(self, template: str, given: Mapping[str, Any]) -> str:
        """`template` with the arguments in its braces; a parameter's default counts as given."""
        defaults = {
            p.name: p.default
            for p in self.signature.parameters.values()
            if p.default is not inspect.Parameter.empty
        }
        return template.format_map({**defaults, **given})

    def check_template(self, template: str, what: str) -> None:
        """Refuse a template that names what the task does not take.

        Raises:
            ValueError: with the names that it may use.
        """
        for _, field, _, _ in string.Formatter().parse(template):
            name = field.split(".")[0].split("[")[0] if field is not None else None
            if name is not None and name not in self.names:
                known = ", ".join(sorted(self.names)) or "none"
                raise ValueError(
                    f"{what} names {name!r}, which is no parameter of the task; it has {known}"
                )


def refuse_star_args(function: Callable[..., Any]) -> None:
    """Raise TypeError for a function with *args: arguments are stored by name."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(
                f"a task must name its parameters, got *{parameter.name} in {function.__qualname__}; "
                "take a list instead"
            )


def to_json(arguments: Mapping[str, Any], max_bytes: int) -> str:
    """The text of the arguments' JSON object.

    Raises:
        BadArgument: with the place of a value that Postgres or JSON cannot hold, or the size.
    """
    for name, value in arguments.items():
        _check(value, name, 1)
    text = json.dumps(arguments, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    size = len(text.encode())
    if size > max_bytes:
        raise BadArgument(
            f"arguments must be at most {max_bytes} bytes of JSON, got {size}; "
            "store the data and pass its id, or raise TASKHUB_MAX_ARGS_BYTES"
        )
    return text


def check_text(value: str, what: str, max_bytes: int) -> str:
    """`value`, if it is text that Postgres can hold in `max_bytes`.

    Raises:
        BadArgument: it is empty, too long, or has a NUL or a lone surrogate.
    """
    if not value or type(value) is not str:
        raise BadArgument(f"{what} must be text that is not empty, got {value!r:.100}")
    _check(value, what, 1)
    if len(value.encode()) > max_bytes:
        raise BadArgument(f"{what} must be at most {max_bytes} bytes, got {len(value.encode())}")
    return value


def check_priority(value: int) -> int:
    """`value`, if it fits the column: 32 bits.

    Raises:
        BadArgument: it does not.
    """
    if type(value) is not int or value not in INT32:
        raise BadArgument(f"priority must be a whole number of 32 bits, got {value!r:.100}")
    return value


def _check(value: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadArgument(f"{path:.200} must be at most {MAX_DEPTH} levels deep")
    if isinstance(value, list):
        for n, item in enumerate(value):
            _check(item, f"{path}[{n}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_leaf(key, f"key of {path}")
            _check(item, f"{path}.{key}", depth + 1)
    else:
        _check_leaf(value, path)


def _check_leaf(value: Any, path: str) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise BadArgument(f"{path} must have no NUL character, which Postgres cannot store")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise BadArgument(f"{path} must be valid text, got a lone surrogate")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadArgument(f"{path} must be a finite number, got {value}")
    elif isinstance(value, int) and value not in INT64:
        raise BadArgument(f"{path} must fit 64 bits, got a number of {value.bit_length()} bits")
