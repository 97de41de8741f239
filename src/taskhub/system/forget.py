"""What the system family forgets when its days are over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, tuple_

from taskhub.mail import outbox
from taskhub.queue import Hub
from taskhub.system.models import Alert, HourStatistics, Notice

BATCH = 1000


def forget(hub: Hub) -> dict[str, int]:
    """Delete alerts that are over, notices, mails and statistics past their days; how many of each.

    Rows go a thousand at a time, each in a transaction of its own. Open alerts stay.
    """
    alert_days = timedelta(days=hub.settings.alert_days)
    statistics_days = timedelta(days=hub.settings.statistics_days)
    key = tuple_(HourStatistics.hour, HourStatistics.queue, HourStatistics.task)
    return {
        "mails": _mails(hub),
        "alerts": _delete(hub, Alert, Alert.id, Alert.resolved_at < func.now() - alert_days),
        "notices": _delete(hub, Notice, Notice.id, Notice.created_at < func.now() - alert_days),
        "statistics": _delete(
            hub, HourStatistics, key, HourStatistics.hour < func.now() - statistics_days
        ),
    }


def _mails(hub: Hub) -> int:
    gone = 0
    while True:
        with hub.transaction() as session:
            number = outbox.prune(session, days=hub.settings.mail_outbox_days, limit=BATCH)
        gone += number
        if number < BATCH:
            return gone


def _delete(hub: Hub, model: type[Any], key: Any, is_over: Any) -> int:
    columns = list(key.clauses) if hasattr(key, "clauses") else [key]
    gone = 0
    while True:
        with hub.transaction() as session:
            batch = select(*columns).where(is_over).limit(BATCH)
            done = session.execute(
                delete(model).where(key.in_(batch)).execution_options(synchronize_session=False)
            )
        number = int(done.rowcount)  # type: ignore[attr-defined]  # a delete's result has it
        gone += number
        if number < BATCH:
            return gone
