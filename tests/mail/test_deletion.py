"""An account that goes takes its person along."""

import json

import pytest
from sqlalchemy import select, text

from taskhub import Hub, Status
from taskhub.accounts import members, people
from taskhub.accounts.changes import WrongCode
from taskhub.accounts.models import Account, Invitation, Member
from taskhub.accounts.tenants import ensure
from taskhub.mail import ways_in
from taskhub.mail.outbox import OutboxMail
from taskhub.queue import Job
from tests.mail.conftest import HubFor
from tests.mail.office import work
from tests.mail.server import Server
from tests.mail.ways_in.test_people import code_in, person

TABLES = (
    "taskhub.procrastinate_jobs", "taskhub.attempts", "taskhub_kb.accounts", "taskhub_kb.members",
    "taskhub_kb.invitations", "taskhub_kb.mail_codes", "taskhub_kb.mail_outbox",
    "taskhub_kb.mail_bodies",
)  # fmt: skip


@pytest.fixture
def hub(hub_for: HubFor, smtp: Server) -> Hub:
    made = hub_for(smtp)

    @made.task(name="export", queue="work")
    def export(email: str) -> str:
        raise ValueError(f"no room for {email}")

    return made


def everything(hub: Hub) -> str:
    with hub.engine.connect() as connection:
        return "\n".join(
            json.dumps(row, ensure_ascii=False)
            for table in TABLES
            for row in connection.scalars(text(f"SELECT to_jsonb(t) FROM {table} AS t"))
        )


def confirm(hub: Hub, smtp: Server, account_id: int) -> Job[dict[str, int]]:
    ways_in.ask_deletion(hub, account_id)
    work(hub)
    job_id = ways_in.confirm_deletion(hub, account_id, code_in(smtp.mails[-1]))
    return Job(job_id, "delete_account", hub)


def test_nothing_of_a_deleted_person_is_left_anywhere(hub: Hub, smtp: Server) -> None:
    mei, ben = person(hub), person(hub, "ben@example.com")
    with hub.transaction() as session:
        tenant = ensure(session, "Handbook").id
        members.add(session, tenant, ben, "owner")
        members.add(session, tenant, mei, "admin")
        session.get_one(Account, ben).name = "Ben"
    smtp.refuses["gone@example.com"] = "550 who?"
    ways_in.request_login(hub, "mei@example.com")
    ways_in.invite(hub, tenant, mei, "gone@example.com")
    ways_in.send_notice(
        hub, ["ben@example.com"], "News of mei@example.com", ["MEI@example.com left"]
    )
    hub.tasks["export"].defer("mei@example.com")
    work(hub)

    job = confirm(hub, smtp, mei)
    work(hub)
    work(hub)

    assert job.status() is Status.SUCCEEDED
    assert smtp.mails[-1]["To"] == "Mei <mei@example.com>"
    assert smtp.mails[-1]["Subject"] == "Your taskhub account was deleted"
    left = everything(hub)
    assert "mei@example.com" not in left.lower()
    assert "ben@example.com" in left
    with hub.transaction() as session:
        assert session.scalars(select(Account.id)).all() == [ben]
        assert session.scalars(select(Member.account_id)).all() == [ben]
        assert session.scalars(select(Invitation.inviter_id)).all() == [None]


def test_a_confirmed_deletion_closes_the_account_at_once(hub: Hub, smtp: Server) -> None:
    mei = person(hub)
    ways_in.request_login(hub, "mei@example.com")
    work(hub)
    code = code_in(smtp.mails[0])
    ways_in.ask_deletion(hub, mei)
    work(hub)

    ways_in.confirm_deletion(hub, mei, code_in(smtp.mails[1]))

    assert ways_in.log_in(hub, "mei@example.com", code) is None


def test_a_wrong_code_deletes_nothing(hub: Hub, smtp: Server) -> None:
    mei = person(hub)
    ways_in.ask_deletion(hub, mei)
    work(hub)
    code = code_in(smtp.mails[0])

    with pytest.raises(WrongCode):
        ways_in.confirm_deletion(hub, mei, "000000" if code != "000000" else "000001")
    work(hub)

    with hub.transaction() as session:
        assert session.get_one(Account, mei).disabled_at is None


def test_a_deletion_that_runs_twice_finds_nothing_the_second_time(hub: Hub, smtp: Server) -> None:
    mei = person(hub)
    confirm(hub, smtp, mei)
    work(hub)
    again = hub.tasks["delete_account"].defer(mei)
    work(hub)

    assert again.result(timeout=0) == {}
    subjects = [mail["Subject"] for mail in smtp.mails]
    assert subjects.count("Your taskhub account was deleted") == 1


def test_an_account_in_use_is_not_deleted_by_a_job_alone(hub: Hub) -> None:
    mei = person(hub)
    job = hub.tasks["delete_account"].defer(mei)
    work(hub)

    assert job.status() is Status.FAILED
    assert "whoever deletes it disables it first" in (job.attempts()[0].error_message or "")


def test_mails_that_waited_for_a_deleted_person_are_not_sent(hub: Hub, smtp: Server) -> None:
    mei = person(hub)
    job = confirm(hub, smtp, mei)
    sent = len(smtp.mails)
    ways_in.send_notice(hub, ["mei@example.com"], "News", ["one"])
    hub.pause(task="mail_failure_digest")
    work(hub)
    hub.resume(task="mail_failure_digest")
    work(hub)

    assert job.status() is Status.SUCCEEDED
    assert [mail["Subject"] for mail in smtp.mails[sent:]] == ["Your taskhub account was deleted"]
    with hub.transaction() as session:
        assert session.scalars(select(OutboxMail.id)).all() == []
        assert people.find(session, "mei@example.com") is None
