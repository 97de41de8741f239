"""A mail that did not leave leaves after all."""

from datetime import timedelta

import pytest
from sqlalchemy import func, text, update

from taskhub import Hub
from taskhub.accounts.codes import MailCode
from taskhub.mail import ways_in
from taskhub.mail.listing import listing, one
from taskhub.mail.outbox import OutboxMail, State
from taskhub.mail.ways_in.resend import CannotResend
from tests.mail.conftest import HubFor
from tests.mail.office import kept, mails, work
from tests.mail.server import Server


@pytest.fixture
def hub(hub_for: HubFor, smtp: Server) -> Hub:
    return hub_for(smtp)


def notice(hub: Hub) -> int:
    [mail_id] = ways_in.send_notice(hub, ["mei@example.com"], "News", ["one"])
    return mail_id


def shown(hub: Hub) -> list[str]:
    with hub.transaction() as session:
        return [mail.shown for mail in listing(session, hub.settings)]


def test_a_refused_mail_leaves_under_the_same_message_id(hub: Hub, smtp: Server) -> None:
    smtp.answers["RCPT"] = "550 not today"
    mail_id = notice(hub)
    work(hub)
    smtp.answers.clear()

    ways_in.resend(hub, mail_id)
    work(hub)

    assert smtp.mails[0]["Message-ID"] == kept(hub).message_id
    assert kept(hub).state is State.sent


def test_a_sent_mail_is_sent_again_only_when_that_is_meant(hub: Hub, smtp: Server) -> None:
    mail_id = notice(hub)
    work(hub)

    with pytest.raises(CannotResend, match="was sent; use --again"):
        ways_in.resend(hub, mail_id)
    ways_in.resend(hub, mail_id, again=True)
    work(hub)

    first, second = smtp.mails
    assert first["Message-ID"] != second["Message-ID"]
    assert [mail.state for mail in mails(hub)] == [State.sent, State.sent]


def test_a_mail_whose_job_waits_is_left_to_it(hub: Hub) -> None:
    mail_id = notice(hub)

    with pytest.raises(CannotResend, match="waits for its job"):
        ways_in.resend(hub, mail_id)


def test_a_mail_whose_job_was_cancelled_is_given_up_and_can_be_sent(hub: Hub, smtp: Server) -> None:
    mail_id = notice(hub)
    with hub.transaction() as session:
        session.execute(text("UPDATE taskhub.procrastinate_jobs SET status = 'cancelled'"))
    assert shown(hub) == ["given up"]

    ways_in.resend(hub, mail_id)
    work(hub)

    assert shown(hub) == ["sent"]
    assert len(smtp.mails) == 1


def test_a_dropped_code_that_is_too_old_is_dropped_again(hub: Hub, smtp: Server) -> None:
    ways_in.register(hub, "mei@example.com", "Mei")
    with hub.transaction() as session:
        session.execute(update(MailCode).values(expires_at=func.now() - timedelta(minutes=1)))
    work(hub)

    ways_in.resend(hub, kept(hub).id)
    work(hub)

    assert smtp.mails == []
    assert kept(hub).error == "code expired"


def test_a_mail_that_may_have_come_twice_says_so(hub: Hub) -> None:
    mail_id = notice(hub)
    with hub.transaction() as session:
        session.execute(update(OutboxMail).values(state=State.sending))  # its process was killed
    work(hub)

    with hub.transaction() as session:
        assert one(session, hub.settings, mail_id).shown == "maybe sent twice"
        assert [mail.id for mail in listing(session, hub.settings, doubtful=True)] == [mail_id]


def test_a_mail_that_is_not_there_is_named(hub: Hub) -> None:
    with pytest.raises(CannotResend, match="mail 7 does not exist"):
        ways_in.resend(hub, 7)
