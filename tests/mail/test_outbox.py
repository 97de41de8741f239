"""One row for one mail, through all its attempts."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.accounts.models import Account
from taskhub.mail import outbox
from taskhub.mail.outbox import Ended, OutboxMail, State


def add(session: Session, account: Account | None = None) -> int:
    key, message_id = outbox.identity("example.com")
    mail = OutboxMail(
        key=key,
        message_id=message_id,
        kind="login",
        account_id=account.id if account is not None else None,
        recipient="mei@example.com",
        language="en-US",
    )
    session.add(mail)
    session.flush()
    return mail.id


def row(session: Session, mail_id: int) -> OutboxMail:
    return session.get_one(OutboxMail, mail_id, populate_existing=True)


def test_a_key_of_any_characters_makes_a_proper_message_id() -> None:
    made = outbox.message_id("hub 7 <步骤>\r\n", "example.com")

    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    assert made == outbox.message_id("hub 7 <步骤>\r\n", "example.com")


def test_two_mails_never_share_a_message_id() -> None:
    assert outbox.identity("example.com")[1] != outbox.identity("example.com")[1]


def test_a_mail_that_was_being_sent_when_it_is_taken_again_is_doubtful(session: Session) -> None:
    mail_id = add(session)
    outbox.take(session, [mail_id])
    outbox.sending(session, {mail_id: "Hello"})
    assert row(session, mail_id).doubtful_at is None

    outbox.take(session, [mail_id])

    assert row(session, mail_id).doubtful_at is not None


def test_what_became_of_many_is_noted_together(session: Session) -> None:
    sent, full, gone = add(session), add(session), add(session)
    outbox.sending(session, {sent: "1", full: "2", gone: "3"})

    outbox.settle(
        session,
        [
            Ended(sent, State.sent, "<1@x.y>"),
            Ended(full, State.waiting, "452 mailbox full", is_doubtful=True),
            Ended(gone, State.refused, "550 who?" + "x" * 1000),
        ],
    )

    assert (row(session, sent).state, row(session, sent).error) == (State.sent, None)
    assert row(session, sent).sent_at is not None
    assert (row(session, full).state, row(session, full).subject) == (State.waiting, "2")
    assert row(session, full).doubtful_at is not None
    assert row(session, gone).state is State.refused
    assert len(row(session, gone).error or "") == outbox.MAX_ERROR_CHARACTERS
    assert row(session, gone).doubtful_at is None


def test_a_mail_that_was_erased_is_missing_where_mails_are_taken(session: Session) -> None:
    mail_id = add(session)

    assert list(outbox.take(session, [mail_id, mail_id + 1])) == [mail_id]


def test_nothing_of_a_last_mail_is_kept_once_it_has_ended(session: Session) -> None:
    waits, left = add(session), add(session)

    outbox.settle(
        session,
        [Ended(waits, State.waiting, "451", is_last=True), Ended(left, State.sent, is_last=True)],
    )

    assert session.scalars(select(OutboxMail.id)).all() == [waits]


def test_deleting_an_account_erases_what_was_mailed_to_it(
    session: Session, account: Account
) -> None:
    add(session, account)
    session.delete(account)
    session.flush()

    assert session.scalar(select(func.count()).select_from(OutboxMail)) == 0


@pytest.mark.parametrize("state", [State.sent, State.refused, State.dropped])
def test_old_mails_that_have_ended_are_pruned_in_batches(session: Session, state: State) -> None:
    old = [add(session) for _ in range(3)]
    waiting, new = add(session), add(session)
    session.execute(update(OutboxMail).where(OutboxMail.id.in_([*old, new])).values(state=state))
    session.execute(
        update(OutboxMail)
        .where(OutboxMail.id != new)
        .values(created_at=func.now() - timedelta(days=91))
    )

    counts = [outbox.prune(session, days=90, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert session.scalars(select(OutboxMail.id).order_by(OutboxMail.id)).all() == [waiting, new]
