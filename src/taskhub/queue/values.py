"""Python values to readable JSON and back, led by a parameter's annotation."""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Union
from uuid import UUID

# What JSON holds as it is. bool comes before int: True is an int to Python.
NATIVE = (type(None), bool, int, float, str)


def _seconds(span: timedelta) -> float:
    seconds = span.total_seconds()
    if timedelta(seconds=seconds) != span:
        raise TypeError(f"a timedelta must be exact as a float of seconds, got {span!r}")
    return seconds


_SIMPLE: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    UUID: (str, UUID),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (_seconds, lambda seconds: timedelta(seconds=seconds)),
    Decimal: (str, Decimal),
    Path: (str, Path),
}
_LISTS: dict[type, Callable[[list[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}


def encode(value: Any, wanted: Any, path: str) -> Any:
    """`value` as JSON, coerced to `wanted`; `path` names the place in messages.

    Raises:
        TypeError: it is not of that type and cannot be read as it.
    """
    return _convert(value, wanted, path, encoding=True)


def decode(value: Any, wanted: Any, path: str) -> Any:
    """The Python value that `encode` stored; raises TypeError as it does."""
    return _convert(value, wanted, path, encoding=False)


def _convert(value: Any, wanted: Any, path: str, *, encoding: bool) -> Any:  # noqa: PLR0911 - one kind of annotation, one return
    wanted = unwrapped(wanted)
    origin = typing.get_origin(wanted)
    if wanted in (Any, object):
        return _as_it_is(value, path) if encoding else value
    if origin in (Union, types.UnionType):
        return _one_of(value, typing.get_args(wanted), path, encoding=encoding)
    if origin is Literal:
        if value in typing.get_args(wanted):
            return value
        raise _mismatch(value, wanted, path)
    holder = origin or wanted
    if isinstance(holder, type):
        if wanted in (None, *NATIVE):
            return _native(value, wanted, path)
        if issubclass(holder, Mapping) and not typing.is_typeddict(holder):
            return _mapping(value, typing.get_args(wanted), path, encoding=encoding)
        if issubclass(holder, Collection) and not issubclass(holder, str | bytes | enum.Enum):
            return _sequence(value, holder, typing.get_args(wanted), path, encoding=encoding)
        return _structured(value, holder, path, encoding=encoding)
    return _with_pydantic(value, wanted, path, encoding=encoding)


def unwrapped(wanted: Any) -> Any:
    """The type behind Annotated, NewType, `type X = ...` and type variables."""
    while True:
        if typing.get_origin(wanted) is typing.Annotated:
            wanted = typing.get_args(wanted)[0]
        elif hasattr(wanted, "__supertype__"):
            wanted = wanted.__supertype__
        elif type(wanted).__name__ == "TypeAliasType":
            wanted = wanted.__value__
        elif isinstance(wanted, typing.TypeVar):
            wanted = wanted.__bound__ or Any
        else:
            return type(None) if wanted is None else wanted


def _native(value: Any, wanted: type, path: str) -> Any:
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return _read(float, value, wanted, path)
    if wanted in (int, float) and isinstance(value, str):
        try:
            return wanted(value)
        except ValueError:
            raise _mismatch(value, wanted, path) from None
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        # A str or int subclass (an Enum, a Markup) is stored as what it is underneath.
        return None if value is None else wanted(value)
    raise _mismatch(value, wanted, path)


def _as_it_is(value: Any, path: str) -> Any:
    """Values of a parameter without annotation: only what comes back from JSON as it went in."""
    if type(value) in NATIVE:
        return value
    if isinstance(value, list):
        return [_as_it_is(item, f"{path}[{n}]") for n, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, path): _as_it_is(item, f"{path}.{key}") for key, item in value.items()}
    raise TypeError(
        f"{path} must be JSON (None, bool, number, str, list, dict) where the parameter has no "
        f"annotation, got {type(value).__name__}; annotate the parameter, or pass an id"
    )


def _one_of(value: Any, arms: tuple[Any, ...], path: str, *, encoding: bool) -> Any:
    # The arm that the value already is comes first: "7" stays text where str | int is asked.
    ordered = sorted(
        arms,
        key=lambda arm: not (isinstance(unwrapped(arm), type) and type(value) is unwrapped(arm)),
    )
    for arm in ordered:
        try:
            return _convert(value, arm, path, encoding=encoding)
        except (TypeError, ValueError):
            continue
    raise _mismatch(value, Union[arms], path)  # noqa: UP007 - built from a tuple, for the message


def _mapping(value: Any, arms: tuple[Any, ...], path: str, *, encoding: bool) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(value, dict, path)
    key_type, item_type = arms or (str, Any)
    converted = {}
    for key, item in value.items():
        name = _convert(key, key_type, f"{path} key", encoding=encoding)
        if encoding and not isinstance(name, str):
            # JSON has text keys only: numbers are written out, and what cannot be read back from
            # text is refused here and not by the worker.
            name = str(name)
            _convert(name, key_type, f"{path} key", encoding=False)
        if name in converted:
            raise TypeError(f"{path} must have keys that differ as text, got {name!r:.100} twice")
        converted[name] = _convert(item, item_type, f"{path}.{key}", encoding=encoding)
    return converted


def _sequence(value: Any, holder: type, arms: tuple[Any, ...], path: str, *, encoding: bool) -> Any:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise _mismatch(value, holder, path)
    items = list(value)
    fixed = holder is tuple and arms and arms[-1] is not Ellipsis
    if fixed and len(arms) != len(items):
        raise TypeError(f"{path} must have {len(arms)} items, got {len(items)}")
    kinds = arms if fixed else [arms[0] if arms else Any] * len(items)
    converted = [
        _convert(item, kind, f"{path}[{n}]", encoding=encoding)
        for n, (item, kind) in enumerate(zip(items, kinds, strict=True))
    ]
    if encoding and isinstance(value, Set):
        # Its order differs from process to process, and the same set must be the same arguments.
        converted.sort(key=repr)
    made: Callable[[list[Any]], Any] = _LISTS.get(holder, list)
    return converted if encoding else made(converted)


def _structured(value: Any, wanted: type, path: str, *, encoding: bool) -> Any:
    for known, (write, read) in _SIMPLE.items():
        # datetime is a date to Python, and must not be cut down to one.
        if wanted is known:
            parsed = (
                value
                if type(value) is known or isinstance(value, Path)
                else _read(read, value, wanted, path)
            )
            return write(parsed) if encoding else parsed
    if issubclass(wanted, enum.Enum):
        member = value if isinstance(value, wanted) else _read(wanted, value, wanted, path)
        return _as_it_is(member.value, path) if encoding else member
    if dataclasses.is_dataclass(wanted):
        return _dataclass(value, wanted, path, encoding=encoding)
    return _with_pydantic(value, wanted, path, encoding=encoding)


def _read(read: Callable[[Any], Any], value: Any, wanted: Any, path: str) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError, ArithmeticError):
        raise _mismatch(value, wanted, path) from None


def _dataclass(value: Any, wanted: type, path: str, *, encoding: bool) -> Any:
    hints = typing.get_type_hints(wanted, include_extras=True)
    fields = [f.name for f in dataclasses.fields(wanted) if f.init]
    if encoding and isinstance(value, wanted):
        return {
            n: _convert(getattr(value, n), hints[n], f"{path}.{n}", encoding=True) for n in fields
        }
    if not isinstance(value, Mapping) or (unknown := set(value) - set(fields)):
        extra = f" with unknown {sorted(unknown)}" if isinstance(value, Mapping) else ""
        raise TypeError(f"{path} must be {wanted.__name__}, got {type(value).__name__}{extra}")
    read = {n: decode(v, hints[n], f"{path}.{n}") for n, v in value.items()}
    made = _read(lambda given: wanted(**given), read, wanted, path)
    return _dataclass(made, wanted, path, encoding=True) if encoding else made


def _with_pydantic(value: Any, wanted: Any, path: str, *, encoding: bool) -> Any:
    try:
        from pydantic import TypeAdapter, ValidationError
        from pydantic.errors import PydanticUserError
    except ImportError:
        raise TypeError(
            f"{path} is annotated {_name(wanted)}, which needs pydantic; run `pip install pydantic`"
        ) from None
    try:
        adapter: Any = TypeAdapter(wanted)
        parsed = adapter.validate_python(value)
        return adapter.dump_python(parsed, mode="json") if encoding else parsed
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (path, *first["loc"]))
        raise TypeError(
            f"{place} must be {_name(wanted)}: {first['msg']}, got {value!r:.100}"
        ) from None
    except PydanticUserError:
        raise TypeError(
            f"{path} is annotated {_name(wanted)}, which cannot be stored; pass an id instead"
        ) from None


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path} must have text keys, got {key!r}")
    return key


def _mismatch(value: Any, wanted: Any, path: str) -> TypeError:
    return TypeError(f"{path} must be {_name(wanted)}, got {value!r:.100}")


def _name(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", "")
