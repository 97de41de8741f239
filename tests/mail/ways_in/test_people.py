"""What people ask for themselves, and what nobody learns by asking."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import pytest
from sqlalchemy import event, func, select, update

from taskhub import Hub
from taskhub.accounts import codes, members, people
from taskhub.accounts.changes import StillOwner, WrongCode
from taskhub.accounts.codes import MailCode
from taskhub.accounts.models import Account
from taskhub.accounts.people import BadAccount, UnknownAccount
from taskhub.accounts.tenants import ensure
from taskhub.mail import ways_in
from taskhub.mail.outbox import State
from tests.mail.conftest import HubFor
from tests.mail.office import mails, work
from tests.mail.server import Server


@pytest.fixture
def hub(hub_for: HubFor, smtp: Server) -> Hub:
    return hub_for(smtp)


def person(hub: Hub, email: str = "mei@example.com", *, verified: bool = True) -> int:
    with hub.transaction() as session:
        account = people.create(session, email, "Mei")
        account.verified_at = func.now() if verified else None
        session.flush()
        return account.id


def account(hub: Hub, account_id: int) -> Account:
    with hub.transaction() as session:
        found = session.get_one(Account, account_id)
        session.expunge(found)
        return found


def text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def code_in(mail: EmailMessage) -> str:
    found = re.search(r"^\s+(\d{6})\s*$", text(mail), re.MULTILINE)
    assert found is not None
    return found[1]


@contextmanager
def statements(hub: Hub) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_c: object, _cu: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(hub.engine, "before_cursor_execute", note)
    yield seen
    event.remove(hub.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "ask",
    [
        ways_in.request_reset,
        ways_in.request_login,
        lambda hub, email: ways_in.register(hub, email, "Mei"),
    ],
)
def test_asking_does_the_same_work_whether_there_is_an_account_or_not(
    hub: Hub, ask: Callable[[Hub, str], None]
) -> None:
    person(hub, "mei@example.com")
    ask(hub, "warm@example.com")

    with statements(hub) as for_somebody:
        ask(hub, "mei@example.com")
    with statements(hub) as for_nobody:
        ask(hub, "nobody@example.com")

    assert len(for_somebody) > 3
    assert for_somebody == for_nobody


def test_registering_twice_tells_the_owner_of_the_address_alone(hub: Hub, smtp: Server) -> None:
    person(hub, "mei@example.com")

    ways_in.register(hub, "MEI@example.com", "Mallory")
    work(hub)

    [mail] = smtp.mails
    assert mail["Subject"] == "You have a taskhub account already"
    assert "Mallory" not in text(mail)


def test_registering_again_before_the_code_was_typed_sends_another_code(
    hub: Hub, smtp: Server
) -> None:
    ways_in.register(hub, "mei@example.com", "Mei")
    work(hub)
    ways_in.register(hub, "mei@example.com", "Mei")
    work(hub)

    first, second = (code_in(mail) for mail in smtp.mails)
    with hub.transaction() as session:
        found = people.find(session, "mei@example.com")
        assert found is not None
        if first != second:
            assert not codes.verify(session, found.id, first)
        assert codes.verify(session, found.id, second)


def test_a_reset_for_an_account_carries_a_link_that_works_once(hub: Hub, smtp: Server) -> None:
    account_id = person(hub)

    ways_in.request_reset(hub, "MEI@example.com")
    work(hub)

    [mail] = smtp.mails
    assert mail["Subject"] == "Reset your taskhub password"
    found = re.search(r"reset-password\?account=(\d+)&token=(\S+)", text(mail))
    assert found is not None
    assert int(found[1]) == account_id
    with hub.transaction() as session:
        purpose = codes.Purpose.reset_password
        assert codes.redeem(session, account_id, purpose, found[2])
        assert not codes.redeem(session, account_id, purpose, found[2])


@pytest.mark.parametrize("ask", [ways_in.request_reset, ways_in.request_login])
def test_an_address_without_an_account_is_told_so_by_mail(
    hub: Hub, smtp: Server, ask: Callable[..., None]
) -> None:
    ask(hub, "nobody@example.com", "zh-Hans")
    work(hub)

    assert [mail["Subject"] for mail in smtp.mails] == ["该邮箱没有 taskhub 账号"]


@pytest.mark.parametrize("email", ["no address", ""])
def test_who_sends_no_address_hears_nothing(hub: Hub, smtp: Server, email: str) -> None:
    ways_in.request_reset(hub, email)
    work(hub)

    assert smtp.mails == []


def test_a_disabled_account_gets_no_way_back_in(hub: Hub, smtp: Server) -> None:
    person(hub)
    with hub.transaction() as session:
        session.execute(update(Account).values(disabled_at=func.now()))

    ways_in.request_reset(hub, "mei@example.com")
    work(hub)

    assert [mail.error for mail in mails(hub)] == ["account disabled"]
    assert smtp.mails == []


def test_nobody_is_mailed_more_of_one_kind_an_hour_than_the_setting_says(
    hub_for: HubFor, smtp: Server
) -> None:
    hub = hub_for(smtp, mails_an_hour=3)
    person(hub)

    for _ in range(5):
        ways_in.request_reset(hub, "mei@example.com")
    ways_in.request_login(hub, "mei@example.com")
    work(hub)

    subjects = [mail["Subject"] for mail in smtp.mails]
    assert subjects.count("Reset your taskhub password") == 3
    assert subjects.count("Your taskhub sign-in code") == 1
    dropped = [mail for mail in mails(hub) if mail.state is State.dropped]
    assert [mail.job_id for mail in dropped] == [None, None]
    assert {mail.error for mail in dropped} == {"more than 3 such mails to this address in an hour"}


def test_a_code_from_the_mail_signs_in_and_proves_the_address(hub: Hub, smtp: Server) -> None:
    account_id = person(hub, verified=False)
    ways_in.request_login(hub, "mei@example.com")
    work(hub)
    code = code_in(smtp.mails[0])
    wrong = "000000" if code != "000000" else "000001"

    assert ways_in.log_in(hub, "mei@example.com", wrong) is None
    assert ways_in.log_in(hub, "nobody@example.com", code) is None
    assert ways_in.log_in(hub, "mei@example.com", code) == account_id
    assert ways_in.log_in(hub, "mei@example.com", code) is None
    assert account(hub, account_id).verified_at is not None


def test_an_address_is_changed_by_a_code_to_each_and_both_are_told(hub: Hub, smtp: Server) -> None:
    account_id = person(hub)
    ways_in.ask_address_change(hub, account_id)
    work(hub)
    ways_in.prove_address(hub, account_id, code_in(smtp.mails[0]), "new@example.com")
    work(hub)
    ways_in.confirm_address(hub, account_id, code_in(smtp.mails[1]))
    work(hub)

    assert account(hub, account_id).email == "new@example.com"
    to = [str(mail["To"]) for mail in smtp.mails]
    assert to[:2] == ["Mei <mei@example.com>", "Mei <new@example.com>"]
    assert sorted(to[2:]) == ["Mei <mei@example.com>", "Mei <new@example.com>"]
    assert "from mei@example.com to new@example.com" in text(smtp.mails[2])


def test_a_change_of_address_ends_every_code_that_was_mailed_to_the_old_one(
    hub: Hub, smtp: Server
) -> None:
    account_id = person(hub)
    ways_in.request_login(hub, "mei@example.com")
    ways_in.ask_address_change(hub, account_id)
    work(hub)
    login, old = sorted(smtp.mails, key=lambda mail: mail["Subject"] != "Your taskhub sign-in code")
    ways_in.prove_address(hub, account_id, code_in(old), "new@example.com")
    work(hub)
    ways_in.confirm_address(hub, account_id, code_in(smtp.mails[2]))

    assert ways_in.log_in(hub, "new@example.com", code_in(login)) is None
    with hub.transaction() as session:
        assert session.scalars(select(MailCode.id).where(MailCode.code.is_not(None))).all() == []


def test_a_new_address_that_somebody_has_is_told_there_and_not_here(hub: Hub, smtp: Server) -> None:
    account_id = person(hub)
    person(hub, "ben@example.com")
    ways_in.ask_address_change(hub, account_id)
    work(hub)

    ways_in.prove_address(hub, account_id, code_in(smtp.mails[0]), "ben@example.com")
    work(hub)

    assert smtp.mails[1]["To"] == "Mei <ben@example.com>"
    assert smtp.mails[1]["Subject"] == "You have a taskhub account already"


def test_a_wrong_code_is_refused_and_its_try_is_counted(hub: Hub, smtp: Server) -> None:
    account_id = person(hub)
    ways_in.ask_address_change(hub, account_id)
    work(hub)
    code = code_in(smtp.mails[0])
    wrong = "000000" if code != "000000" else "000001"

    for _ in range(5):
        with pytest.raises(WrongCode):
            ways_in.prove_address(hub, account_id, wrong, "new@example.com")

    with pytest.raises(WrongCode):
        ways_in.prove_address(hub, account_id, code, "new@example.com")


def test_a_new_address_that_is_none_leaves_the_code_good(hub: Hub, smtp: Server) -> None:
    account_id = person(hub)
    ways_in.ask_address_change(hub, account_id)
    work(hub)

    with pytest.raises(BadAccount):
        ways_in.prove_address(hub, account_id, code_in(smtp.mails[0]), "no address")

    ways_in.prove_address(hub, account_id, code_in(smtp.mails[0]), "new@example.com")


def test_an_owner_of_a_tenant_with_others_in_it_cannot_go(hub: Hub) -> None:
    owner, other = person(hub), person(hub, "ben@example.com")
    with hub.transaction() as session:
        tenant = ensure(session, "Handbook")
        members.add(session, tenant.id, owner, "owner")
        members.add(session, tenant.id, other)

    with pytest.raises(StillOwner, match=r"owns tenant .* transfer it first"):
        ways_in.ask_deletion(hub, owner)


def test_nobody_asks_anything_for_an_account_that_is_not_there(hub: Hub) -> None:
    with pytest.raises(UnknownAccount):
        ways_in.ask_deletion(hub, 7)
    with pytest.raises(UnknownAccount):
        ways_in.ask_address_change(hub, 7)
