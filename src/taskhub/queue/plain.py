"""The short way from arguments to JSON, for values that are stored just as they are."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from taskhub.queue import secret, storable
from taskhub.queue.values import NATIVE, unwrapped

# By exact type: a subclass, an Enum or a numpy number, goes the long way.
_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): storable.WORDS.__getitem__,
    bool: storable.WORDS.__getitem__,
    int: storable.write_integer,
    float: storable.write_float,
    str: storable.write_text,
}


@dataclass(frozen=True, slots=True)
class PlainParameters:
    """For each parameter its name as JSON, and the types that need nothing but to be written out."""

    writers: Mapping[str, tuple[str, Mapping[type, Callable[[Any], str]]]]
    positional: tuple[str, ...]
    required: frozenset[str]

    @classmethod
    def of(cls, signature: inspect.Signature, hints: Mapping[str, Any]) -> PlainParameters:
        """What `signature` allows; a parameter without annotation takes every plain value."""
        parameters = signature.parameters.values()
        # Places are told apart by the long way where some of them have no name.
        has_nameless = any(p.kind is p.POSITIONAL_ONLY for p in parameters)
        return cls(
            writers={
                p.name: (f"{storable.write_text(p.name)}: ", _writers(hints.get(p.name, Any)))
                for p in parameters
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            },
            positional=tuple(
                p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and not has_nameless
            ),
            required=frozenset(
                p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD
            ),
        )

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The arguments by name; None: they do not fit, or only the long way can tell."""
        if args:
            placed = dict(zip(self.positional, args, strict=False))
            if len(placed) < len(args) or not placed.keys().isdisjoint(kwargs):
                return None
            kwargs = {**placed, **kwargs}
        return kwargs if kwargs.keys() >= self.required else None

    def write(self, given: Mapping[str, Any]) -> str | None:
        """The JSON text; None: a value is not plain, or cannot be stored, and the long way says why."""
        parts = []
        try:
            for name, value in given.items():
                prefix, writers = self.writers[name]
                parts.append(prefix + writers[type(value)](value))
        except (KeyError, storable.BadArgument):
            return None
        return f"{{{', '.join(parts)}}}"


def _writers(wanted: Any) -> Mapping[type, Callable[[Any], str]]:
    """How to write the types that `wanted` takes as they are; empty where it asks for more."""
    if secret.sealed(wanted) is not None:
        return {}
    wanted = unwrapped(wanted)
    if wanted in (Any, object):
        return _WRITERS
    if typing.get_origin(wanted) in (Union, types.UnionType):
        arms = [unwrapped(arm) for arm in typing.get_args(wanted)]
        return {arm: _WRITERS[arm] for arm in arms if arm in NATIVE}
    return {wanted: _WRITERS[wanted]} if wanted in NATIVE else {}
