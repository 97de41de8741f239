"""When the product's own periodic tasks run: one line a task, each with the setting that switches it."""

from __future__ import annotations

from taskhub.queue import Hub
from taskhub.queue.crons import Switched
from taskhub.settings import Settings

# A look at how things are needs no look at how they were: what was missed is not made up for.
SCHEDULES = (
    Switched(task="queue_monitor", setting="monitor_cron", catch_up="none"),
    Switched(task="failure_digest", setting="digest_cron"),
    Switched(task="statistics_rollup", setting="rollup_cron"),
    Switched(task="retention", setting="retention_cron"),
    Switched(task="statistics_refresh", setting="refresh_cron", catch_up="none"),
    Switched(task="orphan_check", setting="orphan_check_cron"),
    Switched(task="documents_disabled_notice", setting="documents_disabled_cron"),
    Switched(task="clean_unused_datasets", setting="clean_unused_datasets_cron"),
    Switched(task="clean_embedding_cache", setting="clean_embedding_cache_cron"),
    Switched(task="clean_messages", setting="clean_messages_cron"),
    Switched(task="db_backup", setting="backup_cron"),
    Switched(task="backup_check", setting="backup_check_cron"),
)


def switch_on(hub: Hub) -> None:
    """Let the hub's settings say when those of these tasks run that it has; repeatable."""
    hub.switched[:] = SCHEDULES


def silenced(settings: Settings) -> frozenset[str]:
    """The names of the schedules that a setting has switched off."""
    return frozenset(s.task for s in SCHEDULES if not getattr(settings, s.setting).strip())
