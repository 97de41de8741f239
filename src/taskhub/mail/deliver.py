"""One attempt to get one code's mail to its account: the server between two transactions."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from email.message import EmailMessage
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from taskhub.mail import codes, outbox
from taskhub.mail.codes import MailCode
from taskhub.mail.compose import compose, domain
from taskhub.mail.outbox import State
from taskhub.mail.render import Rendered, render
from taskhub.mail.senders import Sender
from taskhub.mail.senders.refusals import PermanentRefusal, TransientRefusal
from taskhub.settings import Settings

Transaction = Callable[[], AbstractContextManager[Session]]


def deliver(
    transaction: Transaction,
    sender: Sender,
    settings: Settings,
    code_id: int,
    *,
    key: str,
    job_id: int | None = None,
) -> str:
    """Send the mail that carries a code, unless `key` says it was sent; what became of it in words.

    Opens two transactions of its own: one says "sending" before the server is talked to, one says
    how it went. A process that dies between them leaves a mail that the next attempt sends again,
    with the same Message-ID, and marks as doubtful.

    Raises:
        PermanentRefusal: the server will never take it; the outbox says why.
        TransientRefusal: call again later with the same key.
    """
    with transaction() as session:
        prepared = _prepare(session, settings, code_id, key, job_id)
    if isinstance(prepared, str):
        return prepared
    mail_id, message = prepared
    _hand_over(transaction, sender, message, mail_id)
    with transaction() as session:
        outbox.sent(session, mail_id)
    return f"sent: {message['Message-ID']}"


def _prepare(
    session: Session, settings: Settings, code_id: int, key: str, job_id: int | None
) -> str | tuple[int, EmailMessage]:
    """The outbox row's id with the message to send, or in words why none is to be sent."""
    code = session.get(MailCode, code_id)
    if code is None:
        # Deleted with its account: there is nobody left whom a row could be about.
        return "dropped: code gone"
    account = code.account
    sent_from = domain(settings.mail_from)
    mail = outbox.take(session, key, code.purpose, account, domain=sent_from, job_id=job_id)
    if mail.state is State.sent:
        return f"already sent: {mail.message_id}"
    if why := codes.worthless(session, code):
        outbox.dropped(session, mail.id, why)
        return f"dropped: {why}"
    rendered = _rendered(session, code, settings)
    message = compose(
        rendered,
        sender=(settings.mail_brand, settings.mail_from),
        recipient=(account.name, account.email),
        message_id=mail.message_id,
    )
    outbox.sending(session, mail, rendered.subject)
    return mail.id, message


def _hand_over(
    transaction: Transaction, sender: Sender, message: EmailMessage, mail_id: int
) -> None:
    try:
        sender.send(message)
    except PermanentRefusal as refusal:
        with transaction() as session:
            outbox.refused(session, mail_id, str(refusal))
        raise
    except TransientRefusal as refusal:
        with transaction() as session:
            outbox.postponed(session, mail_id, str(refusal), doubtful=refusal.doubtful)
        raise


def _rendered(session: Session, code: MailCode, settings: Settings) -> Rendered:
    base = settings.mail_link_base.rstrip("/")
    query = urlencode({"account": code.account_id, "token": code.code})
    return render(
        code.purpose,
        code.account.language,
        name=code.account.name,
        code=code.code,
        link=f"{base}/reset-password?{query}",
        # Counted now: the mail may have waited for its turn.
        minutes=codes.minutes_left(session, code),
        brand=settings.mail_brand,
        home=base,
    )
