"""Jobs that failed for good, collected and told once a period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.queue import Hub, history
from taskhub.system import notices
from taskhub.system.models import Bookmark, Notice
from taskhub.system.outward import MAIL_QUEUE
from taskhub.system.rules import NOTICE_TASK
from taskhub.system.statistics import move

BOOKMARK = "failure_digest"
# An outcome that is being stored has a time from before its commit.
SETTLED = timedelta(seconds=30)
# What the first digest, and one after a long absence, looks back at.
FIRST_BACK = timedelta(hours=1)
LONGEST_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Digest:
    """What failed since the last one.

    Attributes:
        notice: None where nothing did.
        is_of_mails: mails are among it, so that another mail is no sure way to tell of it.
    """

    notice: Notice | None
    failed: int
    is_of_mails: bool


def collect(hub: Hub, session: Session) -> Digest:
    """The notice of what failed since the last one, in the caller's transaction.

    Failures of the jobs that send notices are left out: their notice would fail too, for ever.
    """
    mark = session.get(Bookmark, BOOKMARK, with_for_update=True)
    now: datetime = session.execute(select(func.now())).scalar_one()
    until = now - SETTLED
    since = max(mark.at, until - LONGEST_BACK) if mark is not None else until - FIRST_BACK
    failures = history.failures(hub, since, until, without_tasks=[NOTICE_TASK])
    move(session, BOOKMARK, until)
    notice = notices.of_failures(session, failures, hub.settings)
    is_of_mails = any(group.queue == MAIL_QUEUE for group in failures.groups)
    return Digest(notice, failures.total, is_of_mails)
