"""Secret arguments: what a task annotates, and what of a value must not be seen in logs and errors."""

from __future__ import annotations

import dataclasses
import hmac
import inspect
import json
import logging
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, Union
from urllib.parse import quote, quote_plus

from taskhub.queue import values

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

HIDDEN = "***"
# Shorter texts are in every other word: hiding them would tell more than it hides.
MIN_HIDDEN_CHARACTERS = 4
MIN_HIDDEN_DIGITS = 6


class Secret(Generic[T_co]):
    """A value that shows itself to nobody who does not ask: `reveal()` gives it.

    As the annotation of a task's parameter: the argument is encrypted in the job's row, and the
    function is given a Secret. Two are equal where their values are, in constant time for text and
    bytes.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value

    def reveal(self) -> T_co:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = _as_bytes(self._value), _as_bytes(other._value)
        if mine is None or theirs is None or type(self._value) is not type(other._value):
            return bool(self._value == other._value)
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def _as_bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else None


class _Mark:
    """What tells Encrypted[T] from T."""

    def __repr__(self) -> str:
        return "encrypted"


_MARK = _Mark()
# The annotation of a parameter whose argument is encrypted in the job's row, and given to the function
# as the plain T that it is to type checkers too.
Encrypted = Annotated[T, _MARK]


class Hidden(Exception):
    """What a task with secret arguments raised, as hooks are told it: without its values and frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a secret parameter holds.

    Attributes:
        inner: the type of the value.
        is_wrapped: whether the function takes it as a Secret.
        may_be_none: None is stored as it is, and tells nothing.
    """

    inner: Any
    is_wrapped: bool
    may_be_none: bool = False

    def encode(self, value: Any, name: str) -> Secret[Any] | None:
        """`value` as JSON, in a Secret so that nothing stores or shows it by mistake.

        Raises:
            TypeError: it is not of the type; the message does not show it.
        """
        plain = value.reveal() if isinstance(value, Secret) else value
        if plain is None and self.may_be_none:
            return None
        if (encoded := _quietly(values.encode, plain, self.inner)) is not _FAILED:
            return Secret(encoded)
        kind = getattr(self.inner, "__name__", str(self.inner))
        raise TypeError(f"{name} must be {kind}, got a secret of type {type(plain).__name__}")

    def decode(self, plain: Any, name: str) -> Any:
        """What the function is given for the JSON `plain`; raises TypeError as `encode` does."""
        if plain is None and self.may_be_none:
            return None
        if (decoded := _quietly(values.decode, plain, self.inner)) is _FAILED:
            raise TypeError(f"{name} holds a secret that does not fit its annotation any more")
        return Secret(decoded) if self.is_wrapped else decoded


_FAILED = object()


def _quietly(convert: Any, value: Any, wanted: Any) -> Any:
    # What it raises shows the value, and would be the context of what is raised after it.
    try:
        return convert(value, wanted, "")
    except (TypeError, ValueError, RecursionError):
        return _FAILED


def sealed(hint: Any) -> Sealed | None:
    """What `hint` says of a parameter, if it says that it is a secret."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        found = sealed(arms[0]) if len(arms) == 1 else None
        return None if found is None else dataclasses.replace(found, may_be_none=True)
    if hint is Secret:
        return Sealed(inner=Any, is_wrapped=True)
    if origin is Secret:
        return Sealed(inner=typing.get_args(hint)[0], is_wrapped=True)
    if origin is Annotated and any(mark is _MARK for mark in hint.__metadata__):
        return Sealed(inner=hint.__origin__, is_wrapped=False)
    return None


def found_in(signature: inspect.Signature, hints: Mapping[str, Any]) -> dict[str, Sealed]:
    """The secret parameters of a function, by name.

    Raises:
        TypeError: a secret is only a part of an argument, one of any number, or the result.
    """
    found = {}
    for name, parameter in signature.parameters.items():
        hint = hints.get(name, Any)
        wanted = sealed(hint)
        if _contains(wanted.inner if wanted is not None else hint):
            raise TypeError(
                f"parameter {name!r} must be a secret as a whole, Secret[...] or Encrypted[...], "
                "got one inside another type"
            )
        if wanted is not None and parameter.kind is parameter.VAR_KEYWORD:
            raise TypeError(f"a secret parameter must have a name of its own, got **{name}")
        if wanted is not None:
            found[name] = wanted
    if _contains(hints.get("return", Any)):
        raise TypeError("a task must not return a secret: results are stored as they are")
    return found


def _contains(hint: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a secret is in `hint`, or is `hint`."""
    if sealed(hint) is not None:
        return True
    plain = values.unwrapped(hint)
    inside = list(typing.get_args(plain))
    if dataclasses.is_dataclass(plain) and isinstance(plain, type) and plain not in seen:
        inside += typing.get_type_hints(plain, include_extras=True).values()
        seen |= {plain}
    return any(_contains(part, seen) for part in inside)


# What must not be seen


def traces(plain: Any) -> Iterator[str]:
    """The texts by which a value would be seen, as it is and as usual notations write it."""
    if isinstance(plain, Mapping):
        for key, item in plain.items():
            yield from traces(key)
            yield from traces(item)
    elif isinstance(plain, list):
        for item in plain:
            yield from traces(item)
    elif isinstance(plain, str):
        lines = plain.splitlines()
        for text in {plain, *(line.strip() for line in lines if len(lines) > 1)}:
            if len(text) >= MIN_HIDDEN_CHARACTERS:
                yield from {
                    text, repr(text)[1:-1], json.dumps(text)[1:-1], *_quoted(text),
                    json.dumps(text, ensure_ascii=False)[1:-1],
                }  # fmt: skip
    elif isinstance(plain, int | float) and len(str(plain)) >= MIN_HIDDEN_DIGITS:
        yield str(plain)


def _quoted(text: str) -> set[str]:
    url = text.encode("utf-8", "replace")
    return {quote(url), quote(url, safe=""), quote_plus(url)}


def hide(text: str, hidden: tuple[str, ...]) -> str:
    """`text` without the traces in `hidden`, which has the longest first."""
    for trace in hidden:
        text = text.replace(trace, HIDDEN)
    return text


def hide_in_record(record: logging.LogRecord, hidden: tuple[str, ...]) -> None:
    """Take the traces out of what a record says and of the traceback that formatters write."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - the user's arguments do not fit; whoever formats it says so
        text = f"{record.msg!r} with arguments that do not fit"
    if (safe := hide(text, hidden)) != text:
        record.msg, record.args = safe, ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = hide(logging.Formatter().formatException(record.exc_info), hidden)
