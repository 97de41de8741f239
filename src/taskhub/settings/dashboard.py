"""The dashboard: where it listens, what it is called, who may see it."""

import re
from dataclasses import dataclass, field

from taskhub.settings.kinds import BadSetting, number

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
# Shorter ones can be guessed from one cookie.
SHORTEST_SECRET = 32


@dataclass(frozen=True, kw_only=True)
class DashboardSettings:
    """The dashboard: where it listens, what it is called, who may see it."""

    dashboard_host: str = "127.0.0.1"
    dashboard_port: int = number(8321, at_least=0, at_most=65_535)
    # Shown on every page, so that nobody takes one instance for another.
    dashboard_name: str = "taskhub"
    dashboard_color: str = "#1f5fbf"
    # Names under which it is asked for, beside those of the loopback; "*" stands for any.
    dashboard_hosts: tuple[str, ...] = ()
    dashboard_read_only: bool = False
    # For reading only, such as a role of Postgres that can do nothing else, or a standby.
    dashboard_database_url: str | None = None
    dashboard_query_seconds: float = number(5.0, above=0)
    # Cookies are signed with it; without one the database keeps a key of its own.
    dashboard_secret: str | None = field(default=None, repr=False)
    dashboard_session_hours: float = number(12.0, above=0, at_most=8_760)
    dashboard_idle_minutes: float = number(120.0, above=0, at_most=525_600)
    # Values of arguments whose names hold one of these are never shown.
    dashboard_hidden_arguments: tuple[str, ...] = (
        "password", "passwd", "secret", "token", "authorization", "api_key", "apikey", "credential",
        "private_key", "cookie",
    )  # fmt: skip
    # Where a trace or the logs of a job are found: a url with {job_id}, {task}, {queue} or {trace_id}.
    dashboard_trace_url: str | None = None
    dashboard_logs_url: str | None = None


def check_dashboard(settings: DashboardSettings) -> None:
    """Refuse what would not be safe to put into a page.

    Raises:
        BadSetting: it names the setting.
    """
    if not _COLOR.fullmatch(settings.dashboard_color):
        raise BadSetting(f"dashboard_color must be #rrggbb, got {settings.dashboard_color!r}")
    if settings.dashboard_secret is not None and len(settings.dashboard_secret) < SHORTEST_SECRET:
        raise BadSetting(f"dashboard_secret must be {SHORTEST_SECRET} characters or more")
    for name in ("dashboard_trace_url", "dashboard_logs_url"):
        url = getattr(settings, name)
        if url is not None and not url.startswith(("https://", "http://")):
            raise BadSetting(f"{name} must begin with https:// or http://, got {url!r}")
