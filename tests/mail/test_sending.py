"""The mail jobs, run by a real worker against a real mail server."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from taskhub import Hub, Status
from taskhub.accounts.codes import MailCode
from taskhub.mail import ways_in
from taskhub.mail.kinds import KINDS
from taskhub.mail.outbox import State
from taskhub.mail.post import post_many
from taskhub.mail.sending import SENDING
from tests.mail.conftest import HubFor
from tests.mail.office import hasten, job_of, kept, mails, work
from tests.mail.server import Server

VALUES: dict[str, Any] = {"subject": "Hello", "paragraphs": ["one"]}


def post(hub: Hub, *recipients: str) -> None:
    with hub.transaction() as session:
        post_many(session, hub.settings, "custom", recipients, **VALUES)


def smtp_rule(hub: Hub) -> str | None:
    [rule] = [rule for rule in hub.limits() if rule.name == "smtp"]
    return rule.breaker


def test_every_kind_of_mail_is_a_task_of_its_own(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)

    assert {task.name for task in SENDING.values()} == {f"mail_{kind}" for kind in KINDS}
    assert {hub.tasks[f"mail_{kind}"].queue for kind in KINDS} == {"mail"}


def test_registering_mails_a_code(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)

    ways_in.register(hub, "mei@example.com", "Mei", "zh-Hans")
    work(hub)

    [mail] = smtp.mails
    row = kept(hub)
    assert mail["To"] == "Mei <mei@example.com>"
    assert mail["Message-ID"] == row.message_id
    assert row.state is State.sent
    assert job_of(hub, row).result(timeout=0) == f"sent: {row.message_id}"


def test_a_batch_goes_out_on_one_connection_and_each_mail_once(
    hub_for: HubFor, smtp: Server
) -> None:
    hub = hub_for(smtp, concurrency=1)
    post(hub, *[f"m{n}@example.com" for n in range(150)])

    work(hub)

    arrived = [envelope.rcpt_tos[0] for envelope in smtp.envelopes]
    assert sorted(arrived) == sorted(f"m{n}@example.com" for n in range(150))
    assert smtp.connections == 1
    assert {mail.state for mail in mails(hub)} == {State.sent}


def test_one_refused_mail_of_a_batch_is_one_failed_job(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    smtp.refuses["bad@example.com"] = "550 no such person here"
    post(hub, "one@example.com", "bad@example.com", "two@example.com")

    work(hub)

    one, bad, two = mails(hub)
    assert [mail.state for mail in (one, bad, two)] == [State.sent, State.refused, State.sent]
    assert job_of(hub, one).status() is Status.SUCCEEDED
    assert job_of(hub, bad).status() is Status.FAILED
    assert [attempt.error_message for attempt in job_of(hub, bad).attempts()] == [
        "the server answered 550 no such person here"
    ]


def test_a_transient_refusal_is_tried_again_under_the_same_message_id(
    hub_for: HubFor, serve: Callable[..., Server]
) -> None:
    server = serve(DATA="451 come back later")
    hub = hub_for(server)
    post(hub, "mei@example.com")
    work(hub)
    before = kept(hub)
    assert job_of(hub, before).status() is Status.TODO
    assert before.state is State.waiting
    server.answers.clear()
    hasten(hub)

    work(hub)

    [mail] = server.mails
    after = kept(hub)
    assert (after.id, after.state) == (before.id, State.sent)
    assert mail["Message-ID"] == before.message_id
    assert [a.outcome for a in job_of(hub, after).attempts()] == ["retried", "succeeded"]


def test_full_mailboxes_say_nothing_against_the_server(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    full = [f"full{n}@example.com" for n in range(8)]
    smtp.refuses = dict.fromkeys(full, "452 mailbox full")
    post(hub, *full)

    work(hub)
    post(hub, "mei@example.com")
    work(hub)

    assert smtp_rule(hub) == "closed"
    assert [mail["To"] for mail in smtp.mails] == ["mei@example.com"]


def test_while_the_server_is_down_mails_wait_and_use_up_no_attempts(
    hub_for: HubFor, serve: Callable[..., Server]
) -> None:
    server = serve()
    hub = hub_for(server)
    server.stop()
    post(hub, *[f"m{n}@example.com" for n in range(6)])
    work(hub)
    assert smtp_rule(hub) == "open"

    post(hub, "later@example.com")
    work(hub)

    later = mails(hub)[-1]
    assert {mail.state for mail in mails(hub)} == {State.waiting}
    assert job_of(hub, later).attempts() == []
    assert "the server cannot be used" in (mails(hub)[0].error or "")


def test_mails_that_waited_for_the_server_are_sent_once_when_it_is_back(
    hub_for: HubFor, serve: Callable[..., Server]
) -> None:
    server = serve()
    hub = hub_for(server)
    server.answers["EHLO"] = "hang up"
    post(hub, *[f"m{n}@example.com" for n in range(6)])
    work(hub)
    assert {mail.state for mail in mails(hub)} == {State.waiting}

    server.answers.clear()
    hasten(hub)
    work(hub)

    assert len(server.mails) == 6
    assert {(m.state, m.doubtful_at) for m in mails(hub)} == {(State.sent, None)}


def test_what_an_operator_said_of_the_server_stays(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    hub.limit("smtp", per_second=50)
    post(hub, "mei@example.com")

    work(hub)

    [rule] = [rule for rule in hub.limits() if rule.name == "smtp"]
    assert (rule.per_second, rule.breaker) == (50, None)


def test_no_secret_and_no_address_stands_in_a_jobs_arguments(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)

    ways_in.register(hub, "mei@example.com", "Mei")

    with hub.transaction() as session:
        arguments = session.scalars(text("SELECT args FROM taskhub.procrastinate_jobs")).all()
    assert arguments == [{"mail_id": kept(hub).id}]


def test_a_code_that_expired_in_the_queue_is_dropped(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    ways_in.register(hub, "mei@example.com", "Mei")
    with hub.transaction() as session:
        session.execute(update(MailCode).values(expires_at=func.now()))

    work(hub)

    row = kept(hub)
    assert job_of(hub, row).result(timeout=0) == "dropped: code expired"
    assert (row.state, row.error) == (State.dropped, "code expired")
    assert smtp.mails == []


def test_nothing_is_mailed_when_the_callers_transaction_fails(
    hub_for: HubFor, smtp: Server
) -> None:
    hub = hub_for(smtp)

    def fail() -> None:
        with hub.transaction() as session:
            ways_in.send_notice(hub, ["mei@example.com"], "News", ["one"], session=session)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    work(hub)

    assert smtp.mails == []
    assert mails(hub) == []
    with hub.transaction() as session:
        left = select(func.count()).select_from(text("taskhub.procrastinate_jobs"))
        assert session.scalar(left) == 0
