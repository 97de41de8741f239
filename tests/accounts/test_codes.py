"""Codes are good once, for a while, and for few guesses."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from taskhub.accounts import codes, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.models import Account


def issue(
    session: Session, account: Account, purpose: Purpose = Purpose.verify_email
) -> tuple[MailCode, str]:
    code = codes.issue(session, account, purpose, 30)
    assert code.code is not None
    return code, code.code


def now(session: Session) -> datetime:
    found: datetime = session.scalars(select(func.clock_timestamp())).one()
    return found


def test_a_code_is_redeemed_once(session: Session, account: Account) -> None:
    code, secret = issue(session, account)

    assert codes.redeem(session, account.id, Purpose.verify_email, secret)
    assert not codes.redeem(session, account.id, Purpose.verify_email, secret)
    assert code.code is None
    assert codes.worthless(code, now(session)) == "code used"


def test_of_two_who_redeem_a_code_at_once_one_wins(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        account = people.create(session, "mei@example.com", "Mei")
        _, secret = issue(session, account)
        account_id = account.id
    ready = threading.Barrier(4)
    answers: list[bool] = []

    def redeem() -> None:
        ready.wait(timeout=10)
        with sessions.begin() as session:
            answers.append(codes.redeem(session, account_id, Purpose.verify_email, secret))

    threads = [threading.Thread(target=redeem) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert sorted(answers) == [False, False, False, True]


def test_two_codes_issued_at_once_leave_one_alive(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        account_id = people.create(session, "mei@example.com", "Mei").id
    ready = threading.Barrier(4)
    secrets: list[str] = []

    def run() -> None:
        ready.wait(timeout=10)
        with sessions.begin() as session:
            secrets.append(issue(session, session.get_one(Account, account_id))[1])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert len(secrets) == 4
    with sessions.begin() as session:
        alive = [codes.redeem(session, account_id, Purpose.verify_email, s) for s in secrets]
    assert sum(alive) == 1


def test_an_expired_code_is_not_redeemed(session: Session, account: Account) -> None:
    code, secret = issue(session, account)
    code.expires_at = func.now() - timedelta(seconds=1)
    session.flush()

    assert not codes.redeem(session, account.id, Purpose.verify_email, secret)
    assert codes.worthless(code, now(session)) == "code expired"


def test_a_newer_code_replaces_the_older_one(session: Session, account: Account) -> None:
    older, old_secret = issue(session, account, Purpose.reset_password)
    newer, new_secret = issue(session, account, Purpose.reset_password)

    assert codes.worthless(older, now(session)) == "code replaced"
    assert codes.worthless(newer, now(session)) is None
    assert not codes.redeem(session, account.id, Purpose.reset_password, old_secret)
    assert codes.redeem(session, account.id, Purpose.reset_password, new_secret)


def test_a_code_for_one_purpose_opens_no_other(session: Session, account: Account) -> None:
    _, secret = issue(session, account, Purpose.verify_email)
    issue(session, account, Purpose.reset_password)

    assert not codes.redeem(session, account.id, Purpose.reset_password, secret)


def test_five_wrong_guesses_end_a_code(session: Session, account: Account) -> None:
    code, secret = issue(session, account)
    wrong = "000000" if secret != "000000" else "000001"  # noqa: S105 - a guess, no secret

    guesses = [codes.redeem(session, account.id, Purpose.verify_email, wrong) for _ in range(5)]

    assert guesses == [False] * 5
    assert code.tries == 5
    assert not codes.redeem(session, account.id, Purpose.verify_email, secret)


@pytest.mark.parametrize("typed", ["", "秘密", "12345", "\ud800"])
def test_anything_may_be_typed_as_a_code(session: Session, account: Account, typed: str) -> None:
    issue(session, account)

    assert not codes.redeem(session, account.id, Purpose.verify_email, typed)


def test_blanks_around_a_code_do_not_matter(session: Session, account: Account) -> None:
    _, secret = issue(session, account)

    assert codes.redeem(session, account.id, Purpose.verify_email, f" {secret}\n")


def test_a_verification_code_has_six_digits_and_a_reset_token_is_long(
    session: Session, account: Account
) -> None:
    _, digits = issue(session, account, Purpose.verify_email)
    _, token = issue(session, account, Purpose.reset_password)

    assert len(digits) == 6
    assert digits.isdigit()
    assert len(token) >= 43


def test_verifying_marks_the_address_as_proved(session: Session, account: Account) -> None:
    _, secret = issue(session, account)

    assert codes.verify(session, account.id, secret)
    session.refresh(account)
    assert account.verified_at is not None


def test_the_time_left_is_told_in_whole_minutes(session: Session, account: Account) -> None:
    code = codes.issue(session, account, Purpose.verify_email, 30)

    assert codes.minutes_left(code.expires_at, now(session)) == 29
    code.expires_at = func.clock_timestamp() - timedelta(seconds=5)
    session.flush()
    session.refresh(code)
    assert codes.minutes_left(code.expires_at, now(session)) == 1
