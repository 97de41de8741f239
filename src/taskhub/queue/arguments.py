"""A task's parameters: bound when deferred, checked before any SQL, read back by the worker."""

import contextlib
import inspect
import string
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskhub.queue.context import Context
from taskhub.queue.plain import PlainParameters
from taskhub.queue.secret import Sealed, found_in
from taskhub.queue.storable import MAX_DEPTH, BadArgument, check_size, to_json
from taskhub.queue.values import decode, encode

__all__ = ["BadArgument", "Parameters", "refuse_star_args", "to_json"]


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
    def session_name(self) -> str | None:
        """The name of the first parameter behind the context, where it is annotated as a session."""
        names = [name for name in self._all.parameters if name != self.context_name]
        hint = self._hints.get(names[0]) if names else None
        is_session = isinstance(hint, type) and issubclass(hint, Session | AsyncSession)
        return names[0] if is_session else None

    @cached_property
    def signature(self) -> inspect.Signature:
        """What the caller of `defer` may give."""
        injected = (self.context_name, self.session_name)
        kept = [p for p in self._all.parameters.values() if p.name not in injected]
        return self._all.replace(parameters=kept)

    @cached_property
    def names(self) -> frozenset[str]:
        """The parameters' names, for lock templates."""
        return frozenset(
            p.name for p in self.signature.parameters.values() if p.kind is not p.VAR_KEYWORD
        )

    @cached_property
    def secrets(self) -> Mapping[str, Sealed]:
        """The secret parameters by name; raises TypeError where a secret cannot be one."""
        return found_in(self.signature, self._hints)

    @cached_property
    def _plain(self) -> PlainParameters:
        return PlainParameters.of(self.signature, self._hints)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {
            p.name: p.default
            for p in self.signature.parameters.values()
            if p.default is not inspect.Parameter.empty
        }

    @cached_property
    def written_defaults(self) -> dict[str, Any]:
        """The defaults as JSON; without those that their own annotation refuses: nobody can give them."""
        written = {}
        for name, value in self._defaults.items():
            with contextlib.suppress(TypeError, ValueError):
                written[name] = encode(value, self._hints.get(name, Any), name)
        return written

    def annotation(self, name: str) -> Any:
        """What a parameter is annotated as; Any where it is not, or there is none of this name."""
        return self._hints.get(name, Any)

    def hint(self, name: str) -> Any:
        """As `annotation`, also of what the worker gives."""
        return self._hints[name]

    @property
    def returns(self) -> Any:
        """The annotation of what the function returns; Any where there is none."""
        return self._hints.get("return", Any)

    def write(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], max_bytes: int
    ) -> tuple[str, Mapping[str, Any]]:
        """What was given, as the text of a JSON object and by name; checked.

        Raises:
            TypeError: as `bind` does.
            BadArgument: Postgres cannot hold one of them, or all of them.
        """
        given = self._plain.bind(args, kwargs)
        text = self._plain.write(given) if given is not None else None
        if given is not None and text is not None:
            return check_size(text, max_bytes), given
        bound = self.bind(args, kwargs)
        return to_json(bound, max_bytes), bound

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What was given, by name, as JSON, a secret in its Secret; defaults stay with the function.

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
            elif name in self.secrets:
                given[name] = self.secrets[name].encode(value, name)
            else:
                given[name] = encode(value, self._hints.get(name, Any), name)
        return given

    def call_with(
        self, stored: Mapping[str, Any], injected: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The arguments of one run: what was stored, read by annotation, and what the worker gives.

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
        read |= injected
        first = [
            read.pop(p.name)
            for p in self._all.parameters.values()
            if p.kind is inspect.Parameter.POSITIONAL_ONLY and p.name in read
        ]
        return self._all.bind(*first, **read)

    def fill(self, template: str, given: Mapping[str, Any]) -> str:
        """`template` with the arguments in its braces; a parameter's default counts as given."""
        return template.format_map({**self._defaults, **given})

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
            if name in self.secrets:
                raise ValueError(f"{what} must name no secret parameter, got {name!r}")


def refuse_star_args(function: Callable[..., Any]) -> None:
    """Raise TypeError for a function with *args: arguments are stored by name."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(
                f"a task must name its parameters, got *{parameter.name} in {function.__qualname__}; "
                "take a list instead"
            )
