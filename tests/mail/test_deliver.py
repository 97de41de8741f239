"""From a row of the outbox to somebody's mailbox, and what the outbox says on the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import func
from sqlalchemy.orm import Session, sessionmaker

from taskhub.accounts import codes, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.models import Account
from taskhub.mail import deliver as delivering
from taskhub.mail import outbox
from taskhub.mail.deliver import FLIGHT, deliver
from taskhub.mail.outbox import Ended, OutboxMail, State
from taskhub.mail.senders import Line, sender
from taskhub.mail.senders.refusals import Answer, Unreachable
from taskhub.settings import Settings
from tests.mail.server import Server

Transaction = Callable[[], AbstractContextManager[Session]]


def add(
    session: Session, kind: str = "custom", recipient: str = "mei@example.com", **row: Any
) -> int:
    key, message_id = outbox.identity("example.com")
    given: dict[str, Any] = {
        "language": "en-US",
        "values": {"subject": "Hello", "paragraphs": ["one", "two"]},
        **row,
    }
    mail = OutboxMail(key=key, message_id=message_id, kind=kind, recipient=recipient, **given)
    session.add(mail)
    session.flush()
    return mail.id


def add_code(session: Session, account: Account) -> tuple[int, MailCode]:
    code = codes.issue(session, account, Purpose.verify_email, 30)
    named: dict[str, Any] = {"recipient_name": account.name, "language": account.language}
    ids: dict[str, Any] = {"account_id": account.id, "code_id": code.id, "values": {}}
    return add(session, "verify_email", account.email, **named, **ids), code


def attempt(transaction: Transaction, settings: Settings, *mail_ids: int) -> dict[int, Ended]:
    told: dict[int, Ended] = {}

    def tell(ended: Ended) -> None:
        told[ended.mail_id] = ended

    deliver(transaction, sender(settings), settings, mail_ids, tell)
    return told


def row(session: Session, mail_id: int) -> OutboxMail:
    return session.get_one(OutboxMail, mail_id, populate_existing=True)


class Stub:
    """A way out that answers as it is told."""

    def __init__(self, answer: Callable[[EmailMessage], Answer]) -> None:
        self.flights: list[int] = []
        self._answer = answer

    @contextmanager
    def line(self) -> Iterator[Line]:
        yield self

    def send(self, messages: Sequence[EmailMessage]) -> list[Answer]:
        self.flights.append(len(messages))
        return [self._answer(message) for message in messages]


def test_a_code_arrives_and_the_outbox_says_sent(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    mail_id, code = add_code(session, account)

    told = attempt(transaction, smtp.settings(mail_brand="Handbook"), mail_id)

    [mail] = smtp.mails
    kept = row(session, mail_id)
    assert told[mail_id].state is State.sent
    assert told[mail_id].told == kept.message_id == mail["Message-ID"]
    assert mail["Subject"] == "Handbook 邮箱验证码" == kept.subject
    assert mail["To"] == "Mei <mei@example.com>"
    text = mail.get_body(("plain",))
    assert text is not None
    assert code.code is not None
    assert code.code in text.get_content()
    assert "29 分钟" in text.get_content()
    assert (kept.state, kept.error, kept.doubtful_at) == (State.sent, None, None)


def test_a_mail_that_was_sent_is_not_sent_again(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    mail_id = add(session)
    attempt(transaction, smtp.settings(), mail_id)

    told = attempt(transaction, smtp.settings(), mail_id)

    assert told[mail_id] == Ended(mail_id, State.sent, "already sent")
    assert len(smtp.mails) == 1


def test_the_row_says_sending_for_all_to_see_while_the_server_is_talked_to(
    sessions: sessionmaker[Session],
) -> None:
    with sessions.begin() as session:
        mail_id = add(session)
    seen: list[State] = []

    def look(_: EmailMessage) -> None:
        with sessions() as other:
            seen.append(row(other, mail_id).state)

    deliver(sessions.begin, Stub(look), Settings(), [mail_id], lambda _: None)

    assert seen == [State.sending]


def test_no_more_than_one_flight_is_in_the_air_when_a_process_dies(
    sessions: sessionmaker[Session], smtp: Server
) -> None:
    with sessions.begin() as session:
        ids = [add(session, recipient=f"m{n}@example.com") for n in range(2 * FLIGHT + 5)]
    mails = 0

    def die_late(_: EmailMessage) -> None:
        nonlocal mails
        mails += 1
        if mails == FLIGHT + 3:
            raise KeyboardInterrupt

    told: list[Ended] = []
    with pytest.raises(KeyboardInterrupt):
        deliver(sessions.begin, Stub(die_late), Settings(), ids, told.append)

    with sessions() as session:
        states = [row(session, mail_id).state for mail_id in ids]
    assert states.count(State.sent) == FLIGHT == len(told)
    assert states.count(State.sending) == FLIGHT
    assert states.count(State.waiting) == 5

    attempt(sessions.begin, smtp.settings(), *ids)

    with sessions() as session:
        rows = [row(session, mail_id) for mail_id in ids]
    assert {each.state for each in rows} == {State.sent}
    # Those and no others may have come twice, and say so.
    doubtful = [each.id for each in rows if each.doubtful_at is not None]
    assert doubtful == ids[FLIGHT : 2 * FLIGHT]
    assert len(smtp.mails) == FLIGHT + 5


def test_a_mail_whose_process_died_is_sent_again_under_the_same_message_id(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    mail_id = add(session)

    def die(message: EmailMessage) -> None:
        with sender(smtp.settings()).line() as line:
            line.send([message])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(transaction, Stub(die), smtp.settings(), [mail_id], lambda _: None)
    # The test's savepoint took back what a real commit would have kept.
    outbox.sending(session, {mail_id: "Hello"})
    attempt(transaction, smtp.settings(), mail_id)

    first, second = smtp.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert row(session, mail_id).state is State.sent
    assert row(session, mail_id).doubtful_at is not None


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
    mail_id, code = add_code(session, account)
    spoil(session, code)
    session.flush()
    session.expire_all()

    # Nothing listens there: the outcome also says that nobody tried.
    told = attempt(transaction, Settings(smtp_port=1), mail_id)

    assert told[mail_id] == Ended(mail_id, State.dropped, why)
    assert (row(session, mail_id).state, row(session, mail_id).error) == (State.dropped, why)


def test_a_mail_whose_account_was_deleted_is_dropped(
    transaction: Transaction, session: Session, account: Account, smtp: Server
) -> None:
    mail_id, _ = add_code(session, account)
    session.delete(account)
    session.flush()
    session.expunge_all()

    told = attempt(transaction, smtp.settings(), mail_id)

    assert told[mail_id] == Ended(mail_id, State.dropped, "mail gone")
    assert smtp.mails == []


def test_a_mail_past_its_time_is_dropped(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    mail_id = add(session, expires_at=func.now() - timedelta(seconds=1))

    told = attempt(transaction, smtp.settings(), mail_id)

    assert told[mail_id].told == "mail expired"
    assert smtp.mails == []


def test_a_mail_that_cannot_be_written_stops_no_other(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    broken = add(session, values={"subject": "only that"})
    nowhere = add(session, recipient="no address")
    good = add(session)

    told = attempt(transaction, smtp.settings(), broken, nowhere, good)

    assert [told[i].state for i in (broken, nowhere, good)] == [
        State.refused,
        State.refused,
        State.sent,
    ]
    assert "'paragraphs' is undefined" in (row(session, broken).error or "")


def test_refusals_are_kept_by_mail_and_without_the_address(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    gone = add(session, recipient="gone@example.com")
    full = add(session, recipient="full@example.com")
    good = add(session)
    smtp.refuses = {
        "gone@example.com": "550 no gone@example.com here",
        "full@example.com": "452 mailbox full",
    }

    attempt(transaction, smtp.settings(), gone, full, good)

    assert row(session, gone).state is State.refused
    assert row(session, gone).error == "the server answered 550 no … here"
    assert row(session, full).state is State.waiting
    assert row(session, full).error == "the server answered 452 mailbox full"
    assert row(session, full).doubtful_at is None
    assert row(session, good).state is State.sent


def test_a_server_that_hangs_up_after_the_mail_leaves_a_doubt(
    transaction: Transaction, session: Session, serve: Callable[..., Server]
) -> None:
    server = serve(DATA="hang up")
    mail_id = add(session)

    told = attempt(transaction, server.settings(), mail_id)

    assert told[mail_id].is_doubtful
    assert row(session, mail_id).state is State.waiting
    assert row(session, mail_id).doubtful_at is not None


def test_a_server_that_is_down_is_asked_once_and_all_mails_wait(
    transaction: Transaction, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "FLIGHT", 2)
    ids = [add(session) for _ in range(5)]
    nobody = Stub(lambda _: Unreachable("nobody there"))
    told: list[Ended] = []

    with pytest.raises(Unreachable, match="nobody there"):
        deliver(transaction, nobody, Settings(), ids, told.append)

    assert nobody.flights == [2]
    assert told == []
    rows = [row(session, mail_id) for mail_id in ids]
    assert {(each.state, each.error) for each in rows} == {(State.waiting, "nobody there")}
    assert [each.doubtful_at for each in rows] == [None] * 5


def test_a_name_that_got_past_us_adds_no_header(
    transaction: Transaction, session: Session, smtp: Server
) -> None:
    account = people.create(session, "mei@example.com", "Mei")
    account.name = "Mei\r\nBcc: all@example.com"
    mail_id, _ = add_code(session, account)

    attempt(transaction, smtp.settings(), mail_id)

    [mail] = smtp.mails
    assert mail["Bcc"] is None
    assert smtp.envelopes[0].rcpt_tos == ["mei@example.com"]
