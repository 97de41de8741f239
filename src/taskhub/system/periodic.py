"""What the system family does by itself: watch, tell, add up, forget, refresh."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from taskhub.queue import Backoff, Context, Fail, Hub, Retry
from taskhub.queue import retention as queue_retention
from taskhub.system import (
    alerts,
    digest,
    forget,
    notices,
    outward,
    refresh,
    rules,
    sinks,
    statistics,
)
from taskhub.system.blueprint import system
from taskhub.system.findings import Reader, has_tables
from taskhub.system.models import Notice
from taskhub.system.sinks.refusals import Refused, UnknownSink

# Without pgvector there is no knowledge base, and so no table for what these would write.
NO_TABLES = {"skipped": "the database has no knowledge base; see `taskhub doctor`"}


@system.task(name="queue_monitor", queue="system", lock="queue_monitor", timeout=120)
def queue_monitor(ctx: Context) -> dict[str, Any]:
    """Look at everything by the monitor's rules; alerts are opened, resolved and told of."""
    hub = ctx.hub
    if not has_tables(hub):
        return NO_TABLES
    found, broken = rules.look(Reader(hub))
    quiet = timedelta(minutes=hub.settings.alert_quiet_minutes)
    with hub.transaction() as session:
        changes = alerts.apply(session, found, quiet=quiet, unseen_rules=broken)
        alerts.note_look(session)
        _tell(hub, session, notices.of_alerts(session, changes, hub.settings))
    counts = {"open": len(found), "opened": changes.opened, "resolved": changes.resolved}
    if broken:
        told = "; ".join(f"{name}: {why}" for name, why in broken.items())
        raise Fail(f"{len(broken)} rules could not look: {told}")
    return counts


@system.task(name="failure_digest", queue="system", lock="failure_digest", retry=Backoff())
def failure_digest(ctx: Context) -> dict[str, Any]:
    """Tell of the jobs that failed for good since the last digest, in one notice."""
    if not has_tables(ctx.hub):
        return NO_TABLES
    with ctx.hub.transaction() as session:
        found = digest.collect(ctx.hub, session)
        _tell(ctx.hub, session, found.notice, is_of_mails=found.is_of_mails)
    return {"failed": found.failed}


# A sink that is down for a night gets its notices in the morning: the last wait is an hour, 30 tries a day.
@system.task(
    name=rules.NOTICE_TASK,
    queue="system",
    retry=Backoff(max_attempts=30, first_seconds=10),
    limit="notice:{sink}",
    at_most=1,
)
def notice_send(ctx: Context, notice_id: int, sink: str) -> str:
    """Hand one notice to one sink."""
    with ctx.hub.transaction() as session:
        notice = session.get(Notice, notice_id)
        if notice is None:
            return "dropped: the notice is past its days"
        message = _message(notice, ctx.idempotency_key)
    try:
        sinks.send(ctx.hub.settings, sink, message)
    except UnknownSink as error:
        raise Fail(str(error)) from error
    except Refused as refusal:
        if refusal.is_final:
            raise Fail(str(refusal)) from refusal
        if (seconds := refusal.retry_after_seconds) is not None:
            raise Retry(in_seconds=seconds) from refusal
        raise
    return "sent"


@system.task(name="statistics_rollup", queue="system", lock="statistics_rollup", retry=Backoff())
def statistics_rollup(ctx: Context) -> dict[str, Any]:
    """Add up the runs of the hours that are over, by queue and task."""
    if not has_tables(ctx.hub):
        return NO_TABLES
    return {"hours": statistics.roll_up(ctx.hub, lambda done, of: ctx.progress(done, of, "hours"))}


@system.task(name="retention", queue="system", lock="retention", retry=Backoff(max_attempts=3))
def retention(ctx: Context) -> dict[str, Any]:
    """Delete history, dead letters, alerts, notices and statistics that are past their days."""
    pruned = queue_retention.prune(
        ctx.hub, progress=lambda done: ctx.progress(done.jobs, note="jobs pruned")
    )
    own = forget.forget(ctx.hub) if has_tables(ctx.hub) else {}
    return {**dataclasses.asdict(pruned), **own}


@system.task(name="statistics_refresh", queue="system", lock="statistics_refresh", timeout=7200)
def statistics_refresh(ctx: Context) -> dict[str, Any]:
    """VACUUM and ANALYZE tables with which autovacuum does not keep up."""
    return dataclasses.asdict(refresh.refresh(ctx.hub, ctx.progress))


def _tell(hub: Hub, session: Session, notice: Notice | None, *, is_of_mails: bool = False) -> None:
    if notice is None:
        return
    left = outward.posted(hub, session, notice, is_of_mails=is_of_mails)
    if left:
        jobs = [{"notice_id": notice.id, "sink": sink} for sink in left]
        notice_send.options(session=session).defer_many(jobs)


def _message(notice: Notice, key: str) -> sinks.Message:
    return sinks.Message(
        key=key,
        kind=notice.kind,
        subject=notice.subject,
        lines=tuple(notice.lines),
        created_at=notice.created_at,
    )
