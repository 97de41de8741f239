"""Read the settings: flag, else TASKHUB_*, else pyproject.toml or taskhub.toml, else the default."""

import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskhub.settings.every import Settings
from taskhub.settings.kinds import BadSetting

PREFIX = "TASKHUB_"


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """Settings as they stand for a program started in `directory` (default: the working directory).

    `flags` holds what the command line was given; a value of None means not given.

    Raises:
        BadSetting: an unknown name or an unusable value, with the place it stands in.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    layers = [
        *_files(directory or Path.cwd()),
        ("environment", {n[len(PREFIX) :].lower(): v for n, v in environ.items() if _is_ours(n)}),
        ("flag", {n: v for n, v in (flags or {}).items() if v is not None}),
    ]
    for place, layer in layers:
        for name, raw in layer.items():
            values[name] = _read(name, raw, place)
            sources[name] = place
    return Settings(**values, sources=sources)


def _is_ours(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable[len(PREFIX) :].lower() in _TYPES


def _files(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    """The tables of the nearest pyproject.toml and taskhub.toml, the weaker one first."""
    found = []
    for name, path_in_file in (("pyproject.toml", ("tool", "taskhub")), ("taskhub.toml", ())):
        for folder in (directory, *directory.parents):
            if not (folder / name).is_file():
                continue
            try:
                table: Any = tomllib.loads((folder / name).read_text(encoding="utf-8"))
            except tomllib.TOMLDecodeError as error:
                raise BadSetting(f"{folder / name} is not valid TOML: {error}") from error
            for key in path_in_file:
                table = table.get(key, {})
            found.append((str(folder / name), table))
            break
    return found


def _read(name: str, raw: Any, place: str) -> Any:
    if name not in _TYPES:
        raise BadSetting(f"{place} sets {name!r}, which is no setting of taskhub")
    wanted = _TYPES[name]
    try:
        return _convert(raw, wanted)
    except (LookupError, TypeError, ValueError):
        kind = getattr(wanted, "__name__", str(wanted))
        raise BadSetting(f"{name} must be of type {kind}, got {raw!r} ({place})") from None


def _convert(raw: Any, wanted: Any) -> Any:
    origin = typing.get_origin(wanted)
    if origin is types.UnionType:
        wanted = next(a for a in typing.get_args(wanted) if a is not type(None))
        origin = typing.get_origin(wanted)
    if origin is tuple:
        items = raw.split(",") if isinstance(raw, str) else raw
        kind = typing.get_args(wanted)[0]
        return tuple(kind(str(item).strip()) for item in items if str(item).strip())
    if wanted is Path:
        return Path(raw).expanduser()
    if (
        origin is not None
    ):  # the one mapping: routes, "pattern=queue,pattern=queue" in the environment
        pairs = [p.split("=", 1) for p in raw.split(",") if p] if isinstance(raw, str) else raw
        return {str(key).strip(): str(value).strip() for key, value in dict(pairs).items()}
    if wanted is bool:
        return _WORDS[str(raw).strip().lower()]
    if isinstance(raw, bool) or (wanted is str and not isinstance(raw, str)):
        raise TypeError
    return wanted(raw)


_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TYPES: dict[str, Any] = {
    f.name: typing.get_type_hints(Settings)[f.name]
    for f in dataclasses.fields(Settings)
    if f.name != "sources"
}
