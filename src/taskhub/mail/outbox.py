"""What became of every mail: one row for one mail of one job, kept through all its attempts."""

import hashlib
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKey, Identity, Index, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from taskhub.db import Base
from taskhub.mail.accounts import Account

MAX_ERROR_CHARACTERS = 500


class State(StrEnum):
    """Where a mail stands; `sending` with no job at work means that nobody knows."""

    waiting = "waiting"
    sending = "sending"
    sent = "sent"
    refused = "refused"
    dropped = "dropped"


class OutboxMail(Base):
    """One mail. It holds no body: bodies carry secrets.

    `sending_at` is the last time that a server was talked to. `doubtful_at` is set when an attempt
    ended without the server's answer: the mail may have been delivered then, and a later attempt
    may deliver it again, with the same Message-ID.
    """

    __tablename__ = "mail_outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    message_id: Mapped[str] = mapped_column(Text, unique=True)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    # Deleting an account erases what was mailed to it.
    account_id: Mapped[int | None] = mapped_column(
        ForeignKey(Account.id, ondelete="CASCADE"), index=True
    )
    recipient: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    state: Mapped[State] = mapped_column(
        Enum(State, name="mail_state"), server_default=State.waiting
    )
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    sending_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    doubtful_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_mail_outbox_state_created_at", "state", "created_at"),)


def take(
    session: Session, key: str, kind: str, account: Account, *, domain: str, job_id: int | None
) -> OutboxMail:
    """The mail's one row, made at the first attempt and locked until the caller commits.

    `key` is the job's idempotency key; the Message-ID is made from it and `domain`, and stays.
    """
    session.execute(
        insert(OutboxMail)
        .values(
            key=key,
            message_id=message_id(key, domain),
            job_id=job_id,
            kind=kind,
            account_id=account.id,
            recipient=account.email,
            language=account.language,
        )
        .on_conflict_do_nothing(index_elements=[OutboxMail.key])
    )
    return session.scalars(
        select(OutboxMail)
        .where(OutboxMail.key == key)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def message_id(key: str, domain: str) -> str:
    """The Message-ID that belongs to `key`: always the same, and nothing can be read from it."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def sending(session: Session, mail: OutboxMail, subject: str) -> None:
    """Note that a server is about to be talked to; commit before doing so."""
    _doubt(mail)
    mail.state = State.sending
    mail.subject = subject
    mail.error = None
    mail.sending_at = func.clock_timestamp()
    session.flush()


def sent(session: Session, mail_id: int) -> None:
    """Note that the server took the mail."""
    mail = _locked(session, mail_id)
    mail.state = State.sent
    mail.error = None
    mail.sent_at = func.clock_timestamp()
    session.flush()


def refused(session: Session, mail_id: int, error: str) -> None:
    """Note that the server will never take the mail."""
    _note(session, mail_id, State.refused, error)


def postponed(session: Session, mail_id: int, error: str, *, doubtful: bool) -> None:
    """Note that the mail waits for another attempt; `doubtful` when it may have arrived."""
    mail = _note(session, mail_id, State.waiting, error)
    if doubtful:
        mail.doubtful_at = func.now()
        session.flush()


def dropped(session: Session, mail_id: int, why: str) -> None:
    """Note that the mail is no use to anybody any more."""
    _doubt(_locked(session, mail_id))
    _note(session, mail_id, State.dropped, why)


def _doubt(mail: OutboxMail) -> None:
    if mail.state is State.sending:
        # The attempt before this one died between its two commits.
        mail.doubtful_at = func.now()


def _note(session: Session, mail_id: int, state: State, error: str) -> OutboxMail:
    mail = _locked(session, mail_id)
    mail.state = state
    mail.error = error[:MAX_ERROR_CHARACTERS]
    session.flush()
    return mail


def _locked(session: Session, mail_id: int) -> OutboxMail:
    return session.get_one(OutboxMail, mail_id, with_for_update=True, populate_existing=True)
