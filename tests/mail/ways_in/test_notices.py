"""Mails that the product has reason for."""

import pytest

from taskhub import Hub
from taskhub.accounts import members, people
from taskhub.accounts.tenants import ensure
from taskhub.mail import ways_in
from tests.mail.conftest import HubFor
from tests.mail.office import mails, work
from tests.mail.server import Server
from tests.mail.ways_in.test_people import text


@pytest.fixture
def hub(hub_for: HubFor, smtp: Server) -> Hub:
    return hub_for(smtp)


def test_a_digest_goes_to_each_in_their_language_once(hub: Hub, smtp: Server) -> None:
    with hub.transaction() as session:
        people.create(session, "mei@example.com", "Mei", "zh-Hans")

    sent = ways_in.send_notice(
        hub,
        ["mei@example.com", "ops@example.com", "OPS@example.com", "no address"],
        "2 jobs failed",
        ["document_indexing: 1", "mail_login: 1"],
        intro="In the last hour:",
        path="/jobs?status=failed",
    )
    work(hub)

    assert len(sent) == len(smtp.mails) == 2
    by_recipient = {str(mail["To"]): mail for mail in smtp.mails}
    assert {mail["Subject"] for mail in smtp.mails} == {"2 jobs failed"}
    assert "打开 taskhub" in text(by_recipient["mei@example.com"])
    english = text(by_recipient["ops@example.com"])
    assert "In the last hour:" in english
    assert "- document_indexing: 1" in english
    assert "http://localhost:8000/jobs?status=failed" in english


def test_of_many_lines_the_rest_is_counted(hub: Hub, smtp: Server) -> None:
    ways_in.send_notice(hub, ["ops@example.com"], "Storm", [f"line {n}" for n in range(1000)])
    work(hub)

    told = text(smtp.mails[0])
    assert "- line 49" in told
    assert "- line 50" not in told
    assert "… 950 more" in told


def test_a_digest_is_part_of_the_callers_transaction(hub: Hub, smtp: Server) -> None:
    with hub.transaction() as session:
        ways_in.send_notice(hub, ["ops@example.com"], "Kept", ["one"], session=session)
        session.begin_nested()
        ways_in.send_notice(hub, ["ops@example.com"], "Lost", ["one"], session=session)
        session.get_nested_transaction().rollback()  # type: ignore[union-attr]  # it was just begun
    work(hub)

    assert [mail["Subject"] for mail in smtp.mails] == ["Kept"]


def test_a_tenants_owner_is_told_of_disabled_documents(hub: Hub, smtp: Server) -> None:
    with hub.transaction() as session:
        tenant_id = ensure(session, "Handbook").id
        owner = people.create(session, "ada@example.com", "Ada")
        members.add(session, tenant_id, owner.id, "owner")
        nobodys = ensure(session, "Empty").id

    assert ways_in.documents_disabled(hub, tenant_id, {"Manuals": 3, "<Old>": 41}) is not None
    assert ways_in.documents_disabled(hub, nobodys, {"Manuals": 3}) is None
    assert ways_in.documents_disabled(hub, tenant_id, {}) is None
    work(hub)

    [mail] = smtp.mails
    assert mail["To"] == "Ada <ada@example.com>"
    assert "- Manuals: 3\r\n- <Old>: 41" in text(mail)
    assert len(mails(hub)) == 1
