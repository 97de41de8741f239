"""One row for one mail."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.mail import outbox
from taskhub.mail.accounts import Account
from taskhub.mail.outbox import OutboxMail, State


def take(session: Session, account: Account, key: str = "hub-7") -> OutboxMail:
    return outbox.take(session, key, "verify_email", account, domain="example.com", job_id=7)


def test_the_same_key_gives_the_same_row_and_message_id(session: Session, account: Account) -> None:
    first = take(session, account)
    second = take(session, account)

    assert second is first
    assert first.state is State.waiting
    assert first.message_id == outbox.message_id("hub-7", "example.com")
    assert session.scalar(select(func.count()).select_from(OutboxMail)) == 1


def test_another_key_gives_another_message_id(session: Session, account: Account) -> None:
    first = take(session, account, "hub-7")
    second = take(session, account, "hub-8")

    assert first.message_id != second.message_id


def test_the_message_id_stays_when_the_senders_domain_changes(
    session: Session, account: Account
) -> None:
    before = take(session, account).message_id

    after = outbox.take(session, "hub-7", "verify_email", account, domain="new.example", job_id=7)

    assert after.message_id == before


def test_a_key_of_any_characters_makes_a_proper_message_id() -> None:
    made = outbox.message_id("hub 7 <步骤>\r\n", "example.com")

    assert made.isascii()
    assert made.isprintable()
    assert " " not in made


def test_a_mail_that_was_being_sent_when_it_is_sent_again_is_doubtful(
    session: Session, account: Account
) -> None:
    mail = take(session, account)
    outbox.sending(session, mail, "Hello")
    assert mail.doubtful_at is None

    outbox.sending(session, mail, "Hello")

    session.refresh(mail)
    assert mail.doubtful_at is not None


def test_a_mail_that_was_being_sent_when_it_is_dropped_is_doubtful(
    session: Session, account: Account
) -> None:
    mail = take(session, account)
    outbox.sending(session, mail, "Hello")

    outbox.dropped(session, mail.id, "code expired")

    session.refresh(mail)
    assert mail.state is State.dropped
    assert mail.doubtful_at is not None


def test_a_long_error_is_cut(session: Session, account: Account) -> None:
    mail = take(session, account)

    outbox.refused(session, mail.id, "no " * 1000)

    assert mail.state is State.refused
    assert mail.error is not None
    assert len(mail.error) == outbox.MAX_ERROR_CHARACTERS


def test_deleting_an_account_erases_its_mails(session: Session, account: Account) -> None:
    take(session, account)

    session.delete(account)
    session.flush()

    assert session.scalar(select(func.count()).select_from(OutboxMail)) == 0
