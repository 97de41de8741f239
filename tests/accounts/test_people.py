"""Who can have an account."""

import threading

import pytest
from sqlalchemy.orm import Session, sessionmaker

from taskhub.accounts import people
from taskhub.accounts.people import AccountExists, BadAccount


def test_an_account_is_found_whatever_the_case_of_its_address(session: Session) -> None:
    account = people.create(session, "Mei@Example.com", "Mei", "zh-Hans")

    assert account.email == "Mei@example.com"
    assert account.verified_at is None
    assert people.find(session, "mEI@EXAMPLE.COM") is account
    assert people.find(session, "other@example.com") is None
    assert people.find(session, "no address") is None


def test_an_address_belongs_to_one_account_whatever_its_case(session: Session) -> None:
    people.create(session, "mei@example.com", "Mei")

    with pytest.raises(AccountExists, match=r"the address MEI@example\.com exists"):
        people.create(session, "MEI@example.com", "Somebody else")


def test_of_two_accounts_made_at_once_one_is_refused(sessions: sessionmaker[Session]) -> None:
    outcomes: list[str] = []

    def second() -> None:
        with sessions() as session:
            try:
                people.create(session, "mei@example.com", "Two")
            except AccountExists:
                outcomes.append("refused")

    with sessions() as session:
        people.create(session, "mei@example.com", "One")
        thread = threading.Thread(target=second)
        thread.start()
        session.commit()
    thread.join(timeout=10)

    assert outcomes == ["refused"]


@pytest.mark.parametrize(
    "email", ["", "mei", "mei@localhost", "a@b.com\nBcc: c@d.com", "a@b@c.com"]
)
def test_what_is_no_address_is_refused(session: Session, email: str) -> None:
    with pytest.raises(BadAccount, match="email must be an address, got"):
        people.create(session, email, "Mei")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("  ", "1 to 80 characters"),
        ("x" * 81, "1 to 80 characters"),
        ("Mei\r\nBcc: all@example.com", "one line without control characters"),
        ("Mei\u2028Bcc", "one line without control characters"),
        ("moc.live\u202e", "one line without control characters"),
        ("Win at https://evil.example", "no link"),
        ("Win at WWW.evil.example", "no link"),
    ],
)
def test_a_name_that_could_bend_a_mail_is_refused(session: Session, name: str, why: str) -> None:
    with pytest.raises(BadAccount, match=f"name must be {why}|name must hold {why}"):
        people.create(session, "mei@example.com", name)


def test_a_language_we_do_not_write_is_refused(session: Session) -> None:
    with pytest.raises(BadAccount, match="language must be en-US or zh-Hans, got 'fr'"):
        people.create(session, "mei@example.com", "Mei", "fr")
