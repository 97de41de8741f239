"""From findings to alerts: one row from the first look that finds something to the first that does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from taskhub.system.findings import MAX_TEXT, Finding
from taskhub.system.models import Alert, Bookmark

LOOKED = "queue_monitor"


@dataclass(slots=True)
class Changes:
    """What one look changed; `told` and `over` are what operators are to hear of."""

    opened: int = 0
    resolved: int = 0
    told: list[Alert] = field(default_factory=list)
    over: list[Alert] = field(default_factory=list)


def apply(
    session: Session,
    found: Mapping[str, Finding],
    *,
    quiet: timedelta,
    unseen_rules: Collection[str] = (),
) -> Changes:
    """Open, keep up and resolve alerts, in the caller's transaction; one caller at a time.

    An alert is told once, and not at all while another one of its key was told within `quiet`: it is
    told then if it is still open when that time is over. That it is over is told only of what was told.

    Args:
        unseen_rules: rules that could not look; their alerts stay as they are.
    """
    changes = Changes()
    now: datetime = session.execute(select(func.now())).scalar_one()
    before = {
        alert.key: alert
        for alert in session.scalars(select(Alert).where(Alert.resolved_at.is_(None)))
    }
    for key, finding in found.items():
        alert = before.pop(key, None)
        if alert is None:
            alert = Alert(key=key, since=now)
            session.add(alert)
            changes.opened += 1
        alert.severity, alert.remedy, alert.seen_at = finding.severity, finding.remedy, now
        alert.text = " ".join(finding.text.split())[:MAX_TEXT]
        if alert.told_at is None and not finding.is_silent and _may_tell(session, key, now - quiet):
            alert.told_at = now
            changes.told.append(alert)
    for key, alert in before.items():
        if key.partition(":")[0] not in unseen_rules:
            _resolve(alert, now, changes)
    session.flush()
    return changes


def _resolve(alert: Alert, now: datetime, changes: Changes) -> None:
    alert.resolved_at = now
    changes.resolved += 1
    if alert.told_at is not None:
        changes.over.append(alert)


def note_look(session: Session) -> None:
    """Keep that the monitor has looked, in the caller's transaction; see `seconds_since_look`."""
    now: datetime = session.execute(select(func.now())).scalar_one()
    session.merge(Bookmark(name=LOOKED, at=now))


def seconds_since_look(session: Session) -> float | None:
    """How long ago the monitor looked last, on the database's clock; None: it never did."""
    query = select(extract("epoch", func.now() - Bookmark.at)).where(Bookmark.name == LOOKED)
    found = session.scalar(query)
    return None if found is None else float(found)


def listed(
    session: Session, *, resolved: bool = False, before_id: int | None = None, limit: int = 200
) -> list[Alert]:
    """The alerts that are open, the newest first; with `resolved` also those that are over.

    With `before_id` those that are older than this one.
    """
    # Ids follow the times: there is one monitor, and it opens all alerts of a look at once.
    query = select(Alert).order_by(Alert.id.desc()).limit(limit)
    if not resolved:
        query = query.where(Alert.resolved_at.is_(None))
    if before_id is not None:
        query = query.where(Alert.id < before_id)
    return list(session.scalars(query))


def _may_tell(session: Session, key: str, before: datetime) -> bool:
    last = session.scalar(select(func.max(Alert.told_at)).where(Alert.key == key))
    return last is None or last <= before
