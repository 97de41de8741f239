"""Watching, notices, backup: the system family."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taskhub.settings.kinds import BadSetting, number

# Shorter ones can be guessed by whoever has seen one signed notice.
SHORTEST_SECRET = 16


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """Watching, notices, backup: the system family."""

    backup_directory: Path | None = None
    backup_keep: int = number(7, at_least=1)

    # When the product's own periodic tasks run: cron expressions, or nothing for never.
    schedule_zone: str = "UTC"
    monitor_cron: str = "* * * * *"
    digest_cron: str = "*/15 * * * *"
    rollup_cron: str = "7 * * * *"
    retention_cron: str = "23 3 * * *"
    refresh_cron: str = "53 * * * *"
    orphan_check_cron: str = "41 3 * * *"
    documents_disabled_cron: str = "0 10 * * 1"
    clean_unused_datasets_cron: str = "0 3 * * *"
    clean_embedding_cache_cron: str = "11 4 * * *"
    clean_messages_cron: str = "31 4 * * *"
    backup_cron: str = ""
    backup_check_cron: str = ""

    # From when on the monitor calls something an alert.
    alert_lonely_seconds: float = number(60.0, at_least=0)
    alert_oldest_seconds: float = number(900.0, above=0)
    # How old the oldest ready job of a queue may be, where that differs: "mail=60,indexing=3600".
    alert_oldest_by_queue: Mapping[str, str] = field(default_factory=dict)
    alert_backlog_jobs: int = number(1000, at_least=1)
    alert_backlog_eta_seconds: float = number(3600.0, above=0)
    alert_stalled_seconds: float = number(300.0, above=0)
    alert_retries: int = number(100, at_least=1)
    alert_disk_free_share: float = number(0.1, at_least=0, at_most=1)
    alert_failures_an_hour: int = number(100, at_least=1)
    alert_failure_share: float = number(0.5, above=0, at_most=1)
    alert_mails_refused_an_hour: int = number(20, at_least=1)
    # One alert is told once in this time, however often it comes and goes.
    alert_quiet_minutes: float = number(60.0, at_least=0)
    # From when on `taskhub alerts watch` takes the monitor for silent, and looks and tells by itself.
    watch_silent_seconds: float = number(300.0, above=0)
    alert_days: float = number(90.0, above=0, at_most=36500)
    statistics_days: float = number(90.0, above=0, at_most=36500)

    notice_mail_to: tuple[str, ...] = ()
    # These three may hold tokens, and `config show` masks them.
    notice_webhook_url: str | None = field(default=None, repr=False)
    notice_webhook_secret: str | None = field(default=None, repr=False)
    notice_apprise_urls: tuple[str, ...] = field(default=(), repr=False)
    notice_timeout_seconds: float = number(10.0, above=0)


def check_objectives(settings: SystemSettings) -> None:
    """Refuse an objective that is no time.

    Raises:
        BadSetting: it names the queue.
    """
    for queue, seconds in settings.alert_oldest_by_queue.items():
        try:
            is_time = 0 < float(seconds) < math.inf
        except ValueError:
            is_time = False
        if not is_time:
            raise BadSetting(
                f"alert_oldest_by_queue must give seconds above 0 for {queue!r}, got {seconds!r}"
            )


def check_notices(settings: SystemSettings) -> None:
    """Refuse a webhook that nobody could trust.

    Raises:
        BadSetting: it names the setting.
    """
    url = settings.notice_webhook_url
    if url is None:
        return
    if not url.startswith(("https://", "http://")):
        raise BadSetting("notice_webhook_url must begin with https:// or http://")
    if len(settings.notice_webhook_secret or "") < SHORTEST_SECRET:
        raise BadSetting(
            f"notice_webhook_secret must be {SHORTEST_SECRET} characters or more where "
            "notice_webhook_url is set; the receiver knows by it that a notice is ours"
        )
