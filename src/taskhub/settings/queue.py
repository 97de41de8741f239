"""The database, the worker, the jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taskhub.settings.kinds import number


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """The database, the worker, the jobs."""

    database_url: str | None = None
    database_aliases: tuple[str, ...] = ()
    listen_url: str | None = None
    home: Path | None = None
    embedded_idle_minutes: float = number(30.0, at_least=0)
    schema: str = "taskhub"
    kb_schema: str = "taskhub_kb"
    app: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)

    concurrency: int = number(20, at_least=1)
    lease_seconds: float = number(30.0, above=0)
    drain_seconds: float = number(20.0, at_least=0)
    notify: bool = True
    poll_seconds: float = number(1.0, above=0)
    idle_poll_seconds: float = number(5.0, above=0)
    priority_ageing_seconds: float = number(600.0, at_least=0)
    max_args_bytes: int = number(65536, at_least=1)
    timeout_grace_seconds: float = number(5.0, at_least=0)
    max_overdue_threads: int = number(5, at_least=0)
    unknown_task_grace_seconds: float = number(300.0, above=0)
    process_children: int = number(0, at_least=0)
    process_max_jobs: int = number(1000, at_least=1)
    process_max_mb: float = number(512.0, at_least=0)
    process_max_result_bytes: int = number(16_777_216, at_least=1)
    process_environment: tuple[str, ...] = ()
    # Above it, the server's clock minus the setting is no date any more.
    history_days: float = number(30.0, above=0, at_most=36500)
    # Above it, the server's clock minus the setting is no date any more.
    dead_letter_days: float = number(90.0, above=0, at_most=36500)
    # As above.
    audit_days: float = number(365.0, above=0, at_most=36500)
    question_seconds: float = number(5.0, above=0)
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    secret_keys_file: Path | None = None
