"""A mail of the outbox, looked at by somebody else than its reader."""

import pytest
from sqlalchemy.orm import Session

from taskhub.accounts import codes, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.models import Account
from taskhub.mail.kinds import KINDS
from taskhub.mail.listing import UnknownMail
from taskhub.mail.outbox import OutboxMail, identity
from taskhub.mail.preview import HIDDEN_CODE, preview
from taskhub.settings import Settings


def store(session: Session, kind: str, code: MailCode | None = None, **values: object) -> int:
    key, message_id = identity("example.com")
    mail = OutboxMail(
        key=key,
        message_id=message_id,
        kind=kind,
        recipient="mei@example.com",
        recipient_name="Mei",
        language="en-US",
        values=values,
        code_id=code.id if code is not None else None,
    )
    session.add(mail)
    session.flush()
    return mail.id


def test_a_preview_shows_no_code_that_works(session: Session) -> None:
    account = people.create(session, "ada@example.com", "Ada", "en-US")
    code = codes.issue(session, account, Purpose.login, 30)
    session.refresh(code)
    mail_id = store(session, "login", code)

    seen = preview(session, Settings(), mail_id)

    assert HIDDEN_CODE in seen.text
    assert str(code.code) not in seen.text + seen.html + seen.subject
    assert "Hello Mei" in seen.text


def test_a_preview_holds_the_words_of_its_mail(session: Session, account: Account) -> None:
    mail_id = store(session, "custom", subject="Sunday <b>", paragraphs=["<script>x</script>"])

    seen = preview(session, Settings(), mail_id)

    assert seen.subject == "Sunday <b>"
    assert "&lt;script&gt;" in seen.html
    assert "<script" not in seen.html


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_looked_at(session: Session, kind: str) -> None:
    mail_id = store(session, kind, **KINDS[kind].sample)

    assert preview(session, Settings(), mail_id).subject


def test_a_mail_that_is_not_there_cannot_be_looked_at(session: Session) -> None:
    with pytest.raises(UnknownMail, match="mail 7 does not exist"):
        preview(session, Settings(), 7)
