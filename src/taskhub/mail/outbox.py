"""What became of every mail: a row that is stored with the wish to send it, and kept through all attempts."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from taskhub.accounts.codes import MailCode
from taskhub.accounts.models import Account, Invitation
from taskhub.db import Base

MAX_ERROR_CHARACTERS = 500


class State(StrEnum):
    """Where a mail stands; `sending` with no job at work means that nobody knows."""

    waiting = "waiting"
    sending = "sending"
    sent = "sent"
    refused = "refused"
    dropped = "dropped"


class OutboxMail(Base):
    """One mail. It holds no body and no secret: `values` are what the template needs besides.

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
    recipient_name: Mapped[str] = mapped_column(Text, server_default="")
    subject: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    code_id: Mapped[int | None] = mapped_column(
        ForeignKey(MailCode.id, ondelete="CASCADE"), index=True
    )
    invitation_id: Mapped[int | None] = mapped_column(
        ForeignKey(Invitation.id, ondelete="CASCADE"), index=True
    )
    state: Mapped[State] = mapped_column(
        Enum(State, name="mail_state"), server_default=State.waiting
    )
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    # It is no use to anybody after this.
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sending_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    doubtful_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_mail_outbox_state_created_at", "state", "created_at"),
        Index("ix_mail_outbox_recipient", func.lower(recipient), "kind", "created_at"),
        Index(
            "ix_mail_outbox_doubtful",
            "id",
            postgresql_where=text("doubtful_at IS NOT NULL OR state = 'sending'"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt at one mail ended.

    Attributes:
        state: `waiting` where another attempt is to come.
        told: the server's words, or why it was dropped.
        is_doubtful: it may have arrived all the same.
        is_unreached: the server was not even asked.
        is_last: nothing of the mail is to be kept.
    """

    mail_id: int
    state: State
    told: str = ""
    is_doubtful: bool = False
    is_unreached: bool = False
    is_last: bool = False


def identity(domain: str) -> tuple[str, str]:
    """The key and the Message-ID of a new mail."""
    key = secrets.token_hex(16)
    return key, message_id(key, domain)


def message_id(key: str, domain: str) -> str:
    """The Message-ID that belongs to `key`: always the same, and nothing can be read from it."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def take(session: Session, mail_ids: Sequence[int]) -> dict[int, OutboxMail]:
    """The mails by their ids, locked until the caller commits; those that were erased are missing.

    One that says `sending` was being sent when its process died: it is doubtful from now on.
    """
    found = session.scalars(
        select(OutboxMail)
        .where(OutboxMail.id.in_(mail_ids))
        .order_by(OutboxMail.id)  # two calls lock in one order
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for mail in found:
        if mail.state is State.sending:
            mail.doubtful_at = func.clock_timestamp()
    session.flush()
    return {mail.id: mail for mail in found}


def sending(session: Session, subjects: dict[int, str]) -> None:
    """Note that a server is about to be talked to, by mail; commit before doing so."""
    if not subjects:
        return
    rows = (
        func.unnest(
            bindparam("ids", list(subjects), type_=ARRAY(BigInteger)),
            bindparam("subjects", list(subjects.values()), type_=ARRAY(Text)),
        )
        .table_valued("id", "subject", name="told")
        .render_derived()
    )
    session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == rows.c.id)
        .values(
            state=State.sending,
            subject=rows.c.subject,
            error=None,
            sending_at=func.clock_timestamp(),
        )
        .execution_options(synchronize_session=False)
    )


def settle(session: Session, ended: Iterable[Ended]) -> None:
    """Note how attempts ended."""
    ended = list(ended)
    sent = [one.mail_id for one in ended if one.state is State.sent]
    if sent:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id.in_(sent))
            .values(state=State.sent, error=None, sent_at=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )
    alike: dict[tuple[State, str, bool], list[int]] = defaultdict(list)
    for one in ended:
        if one.state is not State.sent:
            told = one.told[:MAX_ERROR_CHARACTERS]
            alike[one.state, told, one.is_doubtful].append(one.mail_id)
    for (state, told, is_doubtful), mail_ids in alike.items():
        _note(session, mail_ids, {"state": state, "error": told}, is_doubtful=is_doubtful)
    if last := [e.mail_id for e in ended if e.is_last and e.state is not State.waiting]:
        session.execute(
            delete(OutboxMail)
            .where(OutboxMail.id.in_(last))
            .execution_options(synchronize_session=False)
        )


def _note(
    session: Session, mail_ids: list[int], noted: dict[str, Any], *, is_doubtful: bool
) -> None:
    if is_doubtful:
        noted["doubtful_at"] = func.clock_timestamp()
    session.execute(
        update(OutboxMail)
        .where(OutboxMail.id.in_(mail_ids))
        .values(**noted)
        .execution_options(synchronize_session=False)
    )


def lately(session: Session, recipient: str, kind: str) -> int:
    """How many mails of a kind an address was to get in the last hour; two who ask at once take turns."""
    turn = func.pg_advisory_xact_lock(func.hashtextextended(f"mail {recipient.lower()}", 0))
    session.execute(select(turn))
    counted = session.scalar(
        select(func.count()).where(
            func.lower(OutboxMail.recipient) == recipient.lower(),
            OutboxMail.kind == kind,
            OutboxMail.created_at > func.now() - text("interval '1 hour'"),
            OutboxMail.state != State.dropped,
        )
    )
    return counted or 0


def prune(session: Session, *, days: int, limit: int) -> int:
    """Delete mails that came to an end more than `days` ago, at most `limit`; how many went.

    Call it, in transactions of their own, until it says 0.
    """
    old = (
        select(OutboxMail.id)
        .where(
            OutboxMail.state.in_((State.sent, State.refused, State.dropped)),
            OutboxMail.created_at < func.now() - func.make_interval(0, 0, 0, days),
        )
        .order_by(OutboxMail.state, OutboxMail.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = session.scalars(
        delete(OutboxMail)
        .where(OutboxMail.id.in_(old))
        .returning(OutboxMail.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())
