"""A notice by mail is a mail like others, unless it is about mails that do not leave."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select, text

from taskhub import Hub
from taskhub.accounts import people
from taskhub.accounts.models import Language
from taskhub.mail.outbox import OutboxMail
from taskhub.mail.post import post
from taskhub.mail.senders.smtp import close_idle
from taskhub.mail.tasks import mail
from tests.mail.server import Server
from tests.system.conftest import Watched, run

OPS, MEI = "ops@example.com", "mei@example.com"


@pytest.fixture
def mailing(watched: Watched, smtp: Server) -> Iterator[Callable[..., Hub]]:
    """A hub with mails whose notices go to two people, one of whom has an account."""

    def make(**changes: object) -> Hub:
        hub = watched(smtp_port=smtp.settings().smtp_port, notice_mail_to=(OPS, MEI), **changes)
        hub.add(mail)
        with hub.transaction() as session:
            people.create(session, MEI, "Mei", Language.zh_hans)
        return hub

    yield make
    close_idle()  # a server does not end while somebody is connected


def fail(hub: Hub, task: str, **arguments: object) -> None:
    """A job that failed for good, long enough ago for a digest."""
    hub.tasks[task].defer(**arguments)
    hub.run_worker(queues=["shop", "mail"], wait=False)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.attempts SET finished_at = finished_at - interval '1 minute'")
        )


def deferred(hub: Hub) -> list[str]:
    with hub.engine.connect() as connection:
        waiting = "SELECT DISTINCT task_name FROM taskhub.procrastinate_jobs WHERE status = 'todo'"
        return sorted(connection.scalars(text(waiting)))


def body(server: Server, address: str) -> str:
    [found] = [one for one in server.mails if address in str(one["To"])]
    part = found.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_digest_goes_by_the_outbox_in_each_readers_language(
    mailing: Callable[..., Hub], smtp: Server
) -> None:
    hub = mailing()
    fail(hub, "work", reason="paper jam")

    run(hub, "failure_digest")
    hub.run_worker(queues=["mail"], wait=False)

    assert "These jobs failed for good" in body(smtp, OPS)
    assert "以下任务最终失败" in body(smtp, MEI)
    assert all("1 x work in queue shop: " in body(smtp, address) for address in (OPS, MEI))
    with hub.transaction() as session:
        rows = session.scalars(select(OutboxMail).order_by(OutboxMail.id)).all()
        assert [(row.kind, row.recipient, str(row.state)) for row in rows] == [
            ("failure_digest", OPS, "sent"),
            ("failure_digest", MEI, "sent"),
        ]


def test_an_alert_speaks_of_a_change_and_not_of_failures(
    mailing: Callable[..., Hub], smtp: Server
) -> None:
    hub = mailing(alert_lonely_seconds=0)
    hub.tasks["work"].defer()

    run(hub, "queue_monitor")
    hub.run_worker(queues=["mail"], wait=False)

    assert "Something has changed" in body(smtp, OPS)
    assert "queue 'shop' holds 1 ready jobs" in body(smtp, OPS)
    assert "以下情况有变化" in body(smtp, MEI)


def test_a_digest_of_mails_that_failed_goes_past_the_outbox(
    mailing: Callable[..., Hub], smtp: Server
) -> None:
    hub = mailing()
    smtp.refuses["gone@example.com"] = "550 who?"
    with hub.transaction() as session:
        words = {"subject": "News", "paragraphs": ["one"]}
        post(session, hub.settings, "custom", "gone@example.com", **words)  # type: ignore[arg-type]  # of two types
    hub.run_worker(queues=["mail"], wait=False)
    fail(hub, "work", reason="paper jam")

    hub.tasks["failure_digest"].defer()
    hub.run_worker(queues=["system"], wait=False)

    assert deferred(hub) == []
    assert {str(one["To"]) for one in smtp.mails} == {OPS, MEI}
    assert "queue mail" in body(smtp, OPS)


def test_while_nobody_sends_mails_the_alert_of_it_goes_past_the_outbox(
    mailing: Callable[..., Hub], smtp: Server
) -> None:
    hub = mailing(alert_lonely_seconds=0)
    with hub.transaction() as session:
        words = {"subject": "News", "paragraphs": ["one"]}
        post(session, hub.settings, "custom", "ben@example.com", **words)  # type: ignore[arg-type]  # of two types

    run(hub, "queue_monitor")

    assert deferred(hub) == ["mail_custom"]
    assert "queue 'mail' holds 1 ready jobs and has no live worker" in body(smtp, OPS)
