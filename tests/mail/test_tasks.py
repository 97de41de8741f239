"""The mail jobs, run by a real worker against a real mail server."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select, text, update

from taskhub import Hub, Job, Status
from taskhub.mail import tasks
from taskhub.mail.accounts import Account, AccountExists
from taskhub.mail.codes import MailCode
from taskhub.mail.outbox import OutboxMail, State
from tests.mail.server import Server

HubFor = Callable[[Server], Hub]


@pytest.fixture
def hub_for(database: str, kb: None) -> Iterator[HubFor]:
    """A hub with the mail family whose mails go to one server."""
    made: list[Hub] = []

    def make(server: Server) -> Hub:
        settings = server.settings(database_url=database, concurrency=4, poll_seconds=0.2)
        made.append(Hub(settings=settings))
        made[-1].add(tasks.mail)
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def kept(hub: Hub) -> OutboxMail:
    with hub.transaction() as session:
        row = session.scalars(select(OutboxMail)).one()
        session.expunge(row)
        return row


def job_of(hub: Hub, row: OutboxMail) -> Job[str]:
    assert row.job_id is not None
    return Job(row.job_id, f"mail_{row.kind}", hub)


def test_registering_mails_a_code(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)

    account_id = tasks.register(hub, "mei@example.com", "Mei", "zh-Hans")
    work(hub)

    [mail] = smtp.mails
    row = kept(hub)
    assert mail["To"] == "Mei <mei@example.com>"
    assert mail["Message-ID"] == row.message_id
    assert (row.state, row.account_id) == (State.sent, account_id)
    assert job_of(hub, row).result(timeout=0) == f"sent: {row.message_id}"


def test_a_registration_that_fails_mails_nothing(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    tasks.register(hub, "mei@example.com", "Mei")

    with pytest.raises(AccountExists):
        tasks.register(hub, "MEI@example.com", "Mallory")
    work(hub)

    assert [mail["To"] for mail in smtp.mails] == ["Mei <mei@example.com>"]


def test_no_secret_stands_in_a_jobs_arguments(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)

    tasks.register(hub, "mei@example.com", "Mei")

    with hub.transaction() as session:
        code_id = session.scalars(select(MailCode.id)).one()
        arguments = session.scalars(text("SELECT args FROM taskhub.procrastinate_jobs")).all()
    assert arguments == [{"code_id": code_id}]


def test_a_code_that_expired_in_the_queue_is_dropped(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    tasks.register(hub, "mei@example.com", "Mei")
    with hub.transaction() as session:
        session.execute(update(MailCode).values(expires_at=func.now()))

    work(hub)

    row = kept(hub)
    assert job_of(hub, row).result(timeout=0) == "dropped: code expired"
    assert (row.state, row.error) == (State.dropped, "code expired")
    assert smtp.mails == []


def test_a_permanent_refusal_fails_the_job_at_once(
    hub_for: HubFor, serve: Callable[..., Server]
) -> None:
    hub = hub_for(serve(RCPT="550 no such person here"))
    tasks.register(hub, "mei@example.com", "Mei")

    work(hub)

    row = kept(hub)
    job = job_of(hub, row)
    assert row.state is State.refused
    assert job.status() is Status.FAILED
    assert [a.error_message for a in job.attempts()] == [
        "the server answered 550 no such person here"
    ]


def test_a_transient_refusal_is_tried_again_under_the_same_message_id(
    hub_for: HubFor, serve: Callable[..., Server]
) -> None:
    server = serve(DATA="451 come back later")
    hub = hub_for(server)
    tasks.register(hub, "mei@example.com", "Mei")
    work(hub)
    before = kept(hub)
    assert job_of(hub, before).status() is Status.TODO
    assert before.state is State.waiting
    server.answers.clear()
    with hub.transaction() as session:
        session.execute(text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = NULL"))

    work(hub)

    [mail] = server.mails
    after = kept(hub)
    assert (after.id, after.state) == (before.id, State.sent)
    assert mail["Message-ID"] == before.message_id
    assert [a.outcome for a in job_of(hub, after).attempts()] == ["retried", "succeeded"]


def test_a_reset_is_mailed_to_whoever_has_an_account(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    tasks.register(hub, "mei@example.com", "Mei")
    work(hub)

    tasks.request_reset(hub, "MEI@example.com")
    work(hub)

    assert smtp.mails[-1]["Subject"] == "Reset your taskhub password"


@pytest.mark.parametrize("email", ["nobody@example.com", "disabled@example.com", "no address", ""])
def test_a_reset_for_nobody_looks_the_same_and_mails_nothing(
    hub_for: HubFor, smtp: Server, email: str
) -> None:
    hub = hub_for(smtp)
    tasks.register(hub, "disabled@example.com", "Di")
    work(hub)
    with hub.transaction() as session:
        session.execute(update(Account).values(disabled_at=func.now()))

    tasks.request_reset(hub, email)
    work(hub)

    assert [mail["Subject"] for mail in smtp.mails] == ["Your taskhub verification code"]


def test_nobody_is_mailed_more_than_five_resets_an_hour(hub_for: HubFor, smtp: Server) -> None:
    hub = hub_for(smtp)
    tasks.register(hub, "mei@example.com", "Mei")
    work(hub)

    for _ in range(7):
        tasks.request_reset(hub, "mei@example.com")
        work(hub)

    assert [m["Subject"] for m in smtp.mails].count("Reset your taskhub password") == 5
