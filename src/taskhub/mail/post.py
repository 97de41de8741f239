"""Put a mail into the outbox and defer its job, both in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, insert, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from taskhub.accounts.codes import MailCode
from taskhub.accounts.models import Account, Invitation
from taskhub.mail import outbox
from taskhub.mail.compose import domain
from taskhub.mail.kinds import KINDS
from taskhub.mail.layout import UnknownKind
from taskhub.mail.outbox import OutboxMail, State
from taskhub.mail.sending import SENDING
from taskhub.settings import Settings

POST_ROWS = 500


def post(
    session: Session,
    settings: Settings,
    kind: str,
    recipient: str,
    *,
    name: str = "",
    language: str = "en-US",
    account: Account | None = None,
    code: MailCode | None = None,
    invitation: Invitation | None = None,
    good_minutes: int | None = None,
    **values: Any,
) -> OutboxMail:
    """One mail that is sent when the caller commits; its row, which names its job.

    Where strangers can ask for it and the address was to get too many of the kind in the last hour, the
    row says so, is `dropped`, and has no job.

    Args:
        good_minutes: it is dropped if its turn comes later than this.
        values: what its template needs besides; no secrets.

    Raises:
        UnknownKind: no such mail.
    """
    mail = _new(settings, kind, recipient, language)
    mail.recipient_name, mail.values = name, values
    mail.account_id = account.id if account is not None else None
    mail.code_id = code.id if code is not None else None
    mail.invitation_id = invitation.id if invitation is not None else None
    if good_minutes is not None:
        mail.expires_at = func.clock_timestamp() + timedelta(minutes=good_minutes)
    _drop_flood(session, mail, settings.mails_an_hour)
    session.add(mail)
    session.flush()
    if mail.state is not State.dropped:
        mail.job_id = SENDING[kind].options(session=session).defer(mail_id=mail.id).id
        session.flush()
    return mail


def _drop_flood(session: Session, mail: OutboxMail, most: int) -> None:
    if KINDS[mail.kind].by_strangers and outbox.lately(session, mail.recipient, mail.kind) >= most:
        mail.state = State.dropped
        mail.error = f"more than {most} such mails to this address in an hour"


def _new(settings: Settings, kind: str, recipient: str, language: str) -> OutboxMail:
    if kind not in KINDS:
        raise UnknownKind(f"kind must be a mail with templates, got {kind!r}")
    key, message_id = outbox.identity(domain(settings.mail_from))
    return OutboxMail(
        key=key, message_id=message_id, kind=kind, recipient=recipient, language=language
    )


def post_code(
    session: Session, settings: Settings, account: Account, code: MailCode, **values: Any
) -> OutboxMail:
    """The mail that carries a code to its account, or to the address the code is for."""
    return post(
        session,
        settings,
        code.purpose.value,
        code.address or account.email,
        name=account.name,
        language=account.language,
        account=account,
        code=code,
        **values,
    )


def refuse(
    session: Session, settings: Settings, kind: str, recipient: str, *, why: str, language: str
) -> OutboxMail:
    """Keep a mail that cannot be written, so that it is seen with those that could."""
    mail = _new(settings, kind, recipient, language)
    mail.state, mail.error = State.refused, why
    session.add(mail)
    session.flush()
    return mail


def post_many(
    session: Session,
    settings: Settings,
    kind: str,
    recipients: Sequence[str],
    *,
    language: str = "en-US",
    **values: Any,
) -> list[int]:
    """The same mail to many, each a mail and a job of its own; the mails' ids, in this order."""
    ids: list[int] = []
    for start in range(0, len(recipients), POST_ROWS):
        some = recipients[start : start + POST_ROWS]
        ids += _post_some(session, settings, kind, some, language=language, values=values)
    return ids


def _post_some(
    session: Session,
    settings: Settings,
    kind: str,
    recipients: Sequence[str],
    *,
    language: str,
    values: dict[str, Any],
) -> list[int]:
    sent_from = domain(settings.mail_from)
    rows = [
        {"key": key, "message_id": message_id, "kind": kind, "recipient": recipient}
        | {"language": language, "values": values}
        for recipient in recipients
        for key, message_id in [outbox.identity(sent_from)]
    ]
    ids = list(
        session.scalars(
            insert(OutboxMail).returning(OutboxMail.id, sort_by_parameter_order=True), rows
        )
    )
    jobs = SENDING[kind].options(session=session).defer_many({"mail_id": i} for i in ids)
    told = (
        func.unnest(
            bindparam("ids", ids, type_=ARRAY(BigInteger)),
            bindparam("jobs", [job.id for job in jobs], type_=ARRAY(BigInteger)),
        )
        .table_valued("id", "job_id", name="told")
        .render_derived()
    )
    session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == told.c.id)
        .values(job_id=told.c.job_id)
        .execution_options(synchronize_session=False)
    )
    return ids
