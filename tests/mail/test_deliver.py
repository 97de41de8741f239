"""One attempt at a mail, between its two transactions."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from taskhub.mail import accounts, codes
from taskhub.mail.accounts import Account
from taskhub.mail.codes import MailCode, Purpose
from taskhub.mail.deliver import deliver
from taskhub.mail.outbox import OutboxMail, State
from taskhub.mail.senders import sender
from taskhub.mail.senders.refusals import PermanentRefusal, TransientRefusal
from taskhub.settings import Settings
from tests.mail.server import Server

Transaction = Callable[[], AbstractContextManager[Session]]


def attempt(transaction: Transaction, settings: Settings, code: MailCode) -> str:
    return deliver(transaction, sender(settings), settings, code.id, key="hub-7", job_id=7)


def kept(session: Session) -> OutboxMail:
    return session.scalars(select(OutboxMail)).one()


@pytest.mark.parametrize("language", ["en-US", "zh-Hans"])
@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_code_arrives_in_both_parts_in_the_accounts_language(
    transaction: Transaction, session: Session, smtp: Server, purpose: Purpose, language: str
) -> None:
    account = accounts.create(session, "mei@example.com", "Mei", language)
    code = codes.issue(session, account, purpose, 30)
    assert code.code is not None

    outcome = attempt(transaction, smtp.settings(mail_brand="手册"), code)

    [mail] = smtp.mails
    row = kept(session)
    assert outcome == f"sent: {mail['Message-ID']}"
    assert mail["Subject"] == row.subject
    assert "手册" in mail["Subject"]
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert code.code in part.get_content()
        assert ("您好" in part.get_content()) == (language == "zh-Hans")
    assert (row.state, row.recipient, row.kind) == (State.sent, "mei@example.com", purpose)
    assert (row.job_id, row.language, row.error) == (7, language, None)
    assert row.sent_at is not None
    assert row.doubtful_at is None


def test_a_mail_that_was_sent_is_not_sent_again(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    code = codes.issue(session, account, Purpose.verify_email, 30)
    attempt(transaction, smtp.settings(), code)

    outcome = attempt(transaction, smtp.settings(), code)

    assert outcome.startswith("already sent: <")
    assert len(smtp.mails) == 1


def test_the_row_says_sending_for_all_to_see_while_the_server_is_talked_to(
    sessions: sessionmaker[Session],
) -> None:
    with sessions.begin() as session:
        account = accounts.create(session, "mei@example.com", "Mei")
        code_id = codes.issue(session, account, Purpose.verify_email, 30).id
    seen: list[State] = []

    class Watching:
        def send(self, message: EmailMessage) -> None:  # noqa: ARG002 - a Sender
            with sessions() as other:
                seen.append(kept(other).state)

    deliver(sessions.begin, Watching(), Settings(), code_id, key="hub-7")

    assert seen == [State.sending]


def test_a_mail_whose_process_died_is_sent_again_under_the_same_message_id(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    code = codes.issue(session, account, Purpose.verify_email, 30)

    class Dying:
        def send(self, message: EmailMessage) -> None:
            sender(smtp.settings()).send(message)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(transaction, Dying(), smtp.settings(), code.id, key="hub-7")
    attempt(transaction, smtp.settings(), code)

    first, second = smtp.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert kept(session).state is State.sent
    assert kept(session).doubtful_at is not None


def _expire(session: Session, code: MailCode) -> None:
    code.expires_at = func.now() - timedelta(seconds=1)


def _use(session: Session, code: MailCode) -> None:
    codes.redeem(session, code.account_id, code.purpose, code.code or "")


def _replace(session: Session, code: MailCode) -> None:
    codes.issue(session, code.account, code.purpose, 30)


def _disable(session: Session, code: MailCode) -> None:
    code.account.disabled_at = func.now()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_expire, "code expired"),
        (_use, "code used"),
        (_replace, "code replaced"),
        (_disable, "account disabled"),
    ],
)
def test_a_code_that_is_worth_nothing_is_not_mailed(
    transaction: Transaction,
    session: Session,
    account: Account,
    spoil: Callable[[Session, MailCode], None],
    why: str,
) -> None:
    code = codes.issue(session, account, Purpose.verify_email, 30)
    spoil(session, code)
    session.flush()

    # Nothing listens there: the outcome also says that nobody tried.
    outcome = attempt(transaction, Settings(smtp_port=1), code)

    assert outcome == f"dropped: {why}"
    assert (kept(session).state, kept(session).error) == (State.dropped, why)


def test_a_code_that_was_deleted_is_not_mailed(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    code = codes.issue(session, account, Purpose.verify_email, 30)
    session.delete(account)
    session.flush()
    session.expunge(code)

    assert attempt(transaction, smtp.settings(), code) == "dropped: code gone"


def test_a_permanent_refusal_is_kept_with_its_reason(
    transaction: Transaction, session: Session, account: Account, serve: Callable[..., Server]
) -> None:
    server = serve(RCPT="550 no such person here")
    code = codes.issue(session, account, Purpose.verify_email, 30)

    with pytest.raises(PermanentRefusal):
        attempt(transaction, server.settings(), code)

    row = kept(session)
    assert row.state is State.refused
    assert row.error == "the server answered 550 no such person here"
    assert row.sent_at is None


def test_a_transient_refusal_waits_and_the_next_attempt_sends(
    transaction: Transaction, session: Session, account: Account, serve: Callable[..., Server]
) -> None:
    server = serve(DATA="451 come back later")
    code = codes.issue(session, account, Purpose.verify_email, 30)
    with pytest.raises(TransientRefusal):
        attempt(transaction, server.settings(), code)
    row = kept(session)
    assert (row.state, row.error) == (State.waiting, "the server answered 451 come back later")
    server.answers.clear()

    attempt(transaction, server.settings(), code)

    assert len(server.mails) == 1
    assert (row.state, row.error, row.doubtful_at) == (State.sent, None, None)


def test_a_server_that_hangs_up_after_the_mail_leaves_a_doubt(
    transaction: Transaction, session: Session, account: Account, serve: Callable[..., Server]
) -> None:
    server = serve(DATA="hang up")
    code = codes.issue(session, account, Purpose.verify_email, 30)

    with pytest.raises(TransientRefusal):
        attempt(transaction, server.settings(), code)

    session.refresh(kept(session))
    assert kept(session).state is State.waiting
    assert kept(session).doubtful_at is not None


def test_a_name_that_got_past_us_adds_no_header(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    account.name = "Mei\r\nBcc: all@example.com"
    code = codes.issue(session, account, Purpose.verify_email, 30)

    attempt(transaction, smtp.settings(), code)

    [mail] = smtp.mails
    assert mail["Bcc"] is None
    assert smtp.envelopes[0].rcpt_tos == ["mei@example.com"]
