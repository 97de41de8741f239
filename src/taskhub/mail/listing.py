"""The outbox as people look at it: each mail with what its job does about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.mail.outbox import State
from taskhub.settings import Settings

# What is derived, and what the state alone says.
GIVEN_UP = "given up"
_ENDED = ("failed", "cancelled", "aborted")


class UnknownMail(ValueError):
    """There is no such mail in the outbox."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One mail.

    Attributes:
        shown: its state; "given up" where it waits and its job has ended; "maybe sent" and "maybe sent
            twice" where a server was talked to and did not answer.
    """

    id: int
    kind: str
    shown: str
    recipient: str
    subject: str | None
    error: str | None
    language: str
    job_id: int | None
    job_status: str | None
    message_id: str
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    doubtful_at: datetime | None


def listing(
    session: Session,
    settings: Settings,
    *,
    state: str | None = None,
    doubtful: bool = False,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Shown]:
    """The newest mails, of one state or all; `doubtful`: those that may have come twice or not at all.

    With `before_id` those that come behind that mail in the same list.
    """
    where, order = "TRUE", "m.id DESC"
    if state is not None:
        # In the order of the index on both: a state that is rare among many mails is found at once.
        where += f" AND m.state = CAST(:state AS {settings.kb_schema}.mail_state)"
        order = "m.created_at DESC, m.id DESC"
    if doubtful:
        where += " AND (m.doubtful_at IS NOT NULL OR m.state = 'sending')"
    if before_id is not None and state is None:
        where += " AND m.id < :before_id"
    elif before_id is not None:
        where += f"""
            AND (m.created_at, m.id) < (
                SELECT b.created_at, b.id FROM {settings.kb_schema}.mail_outbox AS b WHERE b.id = :before_id
            )
        """  # noqa: S608 - as below
    return _read(session, settings, where, order, state=state, before_id=before_id, limit=limit)


def one(session: Session, settings: Settings, mail_id: int) -> Shown:
    """One mail.

    Raises:
        UnknownMail: there is none.
    """
    found = _read(session, settings, "m.id = :mail_id", "m.id", mail_id=mail_id, limit=1)
    if not found:
        raise UnknownMail(f"mail {mail_id} does not exist; see `taskhub mail ls`")
    return found[0]


def _read(
    session: Session, settings: Settings, where: str, order: str, **given: Any
) -> list[Shown]:
    rows = session.execute(
        text(f"""
            SELECT m.id, m.kind, m.state::text AS state, m.recipient, m.subject, m.error, m.language,
                   m.job_id, j.status::text AS job_status, m.message_id, m.created_at, m.sending_at,
                   m.sent_at, m.doubtful_at
            FROM {settings.kb_schema}.mail_outbox AS m
            LEFT JOIN {settings.schema}.procrastinate_jobs AS j ON j.id = m.job_id
            WHERE {where}
            ORDER BY {order}
            LIMIT :limit
        """),  # noqa: S608 - the schemas' names are checked by Settings, the rest is ours
        {name: value for name, value in given.items() if value is not None},
    )
    return [_shown(row) for row in rows.mappings()]


def _shown(row: Any) -> Shown:
    values = dict(row)
    state = values.pop("state")
    is_doubtful = values["doubtful_at"] is not None
    if state in (State.waiting, State.sending) and values["job_status"] in (*_ENDED, None):
        shown = "maybe sent" if is_doubtful or state == State.sending else GIVEN_UP
    elif is_doubtful:
        shown = "maybe sent twice" if state == State.sent else f"{state}, maybe sent"
    else:
        shown = state
    return Shown(shown=shown, **values)
