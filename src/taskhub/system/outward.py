"""Which way a notice takes: by the outbox as other mails do, or, where mails are in trouble, past it."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from taskhub.queue import Hub, insight
from taskhub.system import sinks
from taskhub.system.models import Alert, Notice

ALERTS = "alerts"
MAIL_QUEUE = "mail"
MAIL_TASK = "mail_failure_digest"
MAIL_KEY = "smtp"
# Alerts by which mails do not leave, or not arrive.
OF_MAILS = (f"queue_without_worker:{MAIL_QUEUE}", f"oldest_age:{MAIL_QUEUE}", "refused_mails")
OF_MAIL_TASKS = f"unknown_tasks:{MAIL_QUEUE}:"


def posted(hub: Hub, session: Session, notice: Notice, *, is_of_mails: bool) -> list[str]:
    """Put the notice into the outbox, in the caller's transaction; the sinks that are left.

    All are left where the hub has no mails, and where mails are in trouble: then a notice must not
    wait for what it tells of.
    """
    names = sinks.names(hub.settings)
    addresses = [name.removeprefix("mail:") for name in names if name.startswith("mail:")]
    if not addresses or MAIL_TASK not in hub.tasks or is_of_mails or _is_troubled(hub, session):
        return names
    from taskhub.mail import ways_in

    good = [address for address in addresses if _is_address(address)]
    ways_in.send_notice(
        hub, good, notice.subject, notice.lines, is_alert=notice.kind == ALERTS, session=session
    )
    return [name for name in names if name.removeprefix("mail:") not in good]


def _is_address(given: str) -> bool:
    """What is none goes the direct way, whose job says so."""
    from taskhub.accounts import people

    try:
        people.checked_address(given)
    except people.BadAccount:
        return False
    return True


def _is_troubled(hub: Hub, session: Session) -> bool:
    trouble = or_(Alert.key.in_(OF_MAILS), Alert.key.startswith(OF_MAIL_TASKS))
    if session.scalar(select(Alert.id).where(trouble, Alert.resolved_at.is_(None)).limit(1)):
        return True
    return any(key.name == MAIL_KEY and key.opened_at for key in insight.held_keys(hub))
