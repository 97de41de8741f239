"""Notices leave by jobs: nothing is lost while a sink is down, and none is about itself."""

import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub import Hub
from taskhub.queue import insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.history import FailureGroup, Failures
from taskhub.settings import BadSetting, Settings
from taskhub.system import notices, sinks
from taskhub.system.sinks.refusals import Refused, UnknownSink
from tests.mail.server import Server
from tests.system.conftest import SECRET, Watched, run, to_webhook
from tests.system.receiver import Receiver

# apprise 2.3 looks for a module that Python 3.13 no longer has, and has one of its own.
APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
MESSAGE = sinks.Message(
    key="k-1",
    kind="test",
    subject="A subject",
    lines=("first", "<b>second</b>"),
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def fail(hub: Hub, *reasons: str) -> None:
    """Jobs that failed for good, long enough ago for a digest."""
    hub.tasks["work"].defer_many([{"reason": reason} for reason in reasons])
    hub.run_worker(queues=["shop"], wait=False)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.attempts SET finished_at = finished_at - interval '1 minute'")
        )


def sends(hub: Hub) -> list[str]:
    return [job.status for job in insight.jobs(hub, JobFilter(tasks=("notice_send",)))]


def test_failures_of_a_period_are_one_notice_and_are_told_once(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(**to_webhook(receiver))
    fail(hub, "paper jam", "paper jam", "paper jam\n\x1b[31mred")

    assert run(hub, "failure_digest") == {"failed": 3}
    assert run(hub, "failure_digest") == {"failed": 0}

    [(headers, body)] = receiver.received
    told = json.loads(body)
    assert told["subject"] == "[taskhub] 3 jobs failed for good"
    assert told["lines"][0].startswith("3 x work in queue shop: taskhub.queue.outcomes.Fail: paper")
    assert "\x1b" not in body.decode()
    stamp = headers["Taskhub-Timestamp"]
    mark = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Taskhub-Signature"] == f"sha256={mark}"
    assert abs(int(stamp) - datetime.now(UTC).timestamp()) < 60


def test_no_secret_of_a_sink_stands_in_a_jobs_arguments(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(**to_webhook(receiver), notice_apprise_urls=("json://user:token@127.0.0.1/",))
    fail(hub, "no")
    hub.tasks["failure_digest"].defer()

    hub.run_worker(queues=["system"], wait=False)

    with hub.engine.connect() as connection:
        kept = str(connection.execute(text("SELECT args FROM taskhub.attempts")).all())
        kept += str(connection.execute(text("SELECT args FROM taskhub.procrastinate_jobs")).all())
    assert "apprise:1" in kept
    assert SECRET not in kept
    assert "token" not in kept


def test_a_notice_waits_for_a_sink_that_is_down_and_arrives_with_the_same_key(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(**to_webhook(receiver))
    receiver.answers += [(503, {}), (429, {"Retry-After": "120"})]
    fail(hub, "no")
    run(hub, "failure_digest")
    assert sends(hub) == ["todo"]

    for _ in range(2):
        with hub.engine.begin() as connection:
            connection.execute(text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = NULL"))
        hub.run_worker(queues=["system"], wait=False)

    assert sends(hub) == ["succeeded"]
    keys = {headers["Taskhub-Delivery"] for headers, _ in receiver.received}
    assert len(receiver.received) == 3
    assert len(keys) == 1


def test_a_notice_that_cannot_be_sent_is_no_reason_for_another_notice(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(alert_failures_an_hour=1000, **to_webhook(receiver))
    receiver.answers += [(404, {})] * 10
    fail(hub, "no")

    run(hub, "failure_digest")
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.attempts SET finished_at = finished_at - interval '1 minute'")
        )
        connection.execute(text("UPDATE taskhub_kb.bookmarks SET at = at - interval '1 hour'"))
    receiver.received.clear()
    assert run(hub, "failure_digest") == {"failed": 1}
    run(hub, "queue_monitor")

    told = [json.loads(body) for _, body in receiver.received]
    assert [t["subject"] for t in told] == ["[taskhub] 1 job failed for good"]
    assert "notice_send" not in str(told)
    with hub.engine.connect() as connection:
        keys = connection.scalars(text("SELECT key FROM taskhub_kb.alerts")).all()
    assert "unsent_notices" in keys


def test_a_storm_of_failures_is_a_bounded_notice(session: Session) -> None:
    groups = [
        FailureGroup(
            fingerprint=f"{n}",
            task="t" * 100,
            queue="q",
            error_class="E",
            error_message="m" * 2000,
            failures=1,
            newest_job_id=n,
            newest_at=datetime.now(UTC),
        )
        for n in range(200)
    ]

    notice = notices.of_failures(session, Failures(groups, 90_000, 300), Settings())

    assert notice is not None
    assert notice.subject == "[taskhub] 90000 jobs failed for good"
    assert len(notice.lines) == notices.MAX_LINES + 1
    assert notice.lines[-1] == "and 151 more"
    assert sum(map(len, notice.lines)) < 20_000


@pytest.mark.parametrize(
    ("status", "is_final"), [(302, True), (400, True), (404, True), (429, False), (500, False)]
)
def test_what_a_webhook_answers_decides_whether_it_is_asked_again(
    receiver: Receiver, status: int, is_final: bool
) -> None:
    receiver.answers.append((status, {"Location": receiver.url}))

    with pytest.raises(Refused, match=f"the webhook answered {status}") as refused:
        sinks.send(Settings(**to_webhook(receiver)), "webhook", MESSAGE)

    assert refused.value.is_final is is_final
    assert len(receiver.received) == 1


def test_a_webhook_that_is_not_there_is_tried_again(receiver: Receiver) -> None:
    away = Settings(notice_webhook_url="http://127.0.0.1:1/", notice_webhook_secret=SECRET)

    with pytest.raises(Refused, match="the webhook was not reached: ConnectError") as refused:
        sinks.send(away, "webhook", MESSAGE)

    assert not refused.value.is_final


def test_a_webhook_without_a_secret_is_refused_where_it_is_set() -> None:
    with pytest.raises(BadSetting, match="notice_webhook_secret must be 16 characters or more"):
        Settings(notice_webhook_url="https://example.com/hook")
    with pytest.raises(BadSetting, match="notice_webhook_url must begin with"):
        Settings(notice_webhook_url="file:///etc/passwd", notice_webhook_secret=SECRET)


def test_a_notice_is_mailed_with_a_steady_message_id(smtp: Server) -> None:
    settings = smtp.settings(notice_mail_to=("ops@example.com",))

    sinks.send(settings, "mail:ops@example.com", MESSAGE)
    sinks.send(settings, "mail:ops@example.com", MESSAGE)

    first, second = smtp.mails
    assert (first["To"], first["Subject"]) == ("ops@example.com", "A subject")
    assert first["Message-ID"] == second["Message-ID"]
    body = first.get_body(("html",))
    assert body is not None
    assert "&lt;b&gt;second" in body.get_content()


@APPRISE
def test_a_notice_goes_to_a_service_that_apprise_knows(receiver: Receiver) -> None:
    settings = Settings(notice_apprise_urls=(f"json://127.0.0.1:{receiver.port}/",))

    sinks.send(settings, "apprise:1", MESSAGE)

    [(_, body)] = receiver.received
    told = json.loads(body)
    assert (told["title"], told["message"]) == ("A subject", "first\n<b>second</b>")


@APPRISE
def test_a_service_that_refuses_is_tried_again(receiver: Receiver) -> None:
    receiver.answers.append((500, {}))
    settings = Settings(notice_apprise_urls=(f"json://127.0.0.1:{receiver.port}/",))

    with pytest.raises(Refused, match=r"did not take it: .*500") as refused:
        sinks.send(settings, "apprise:1", MESSAGE)

    assert not refused.value.is_final


def test_a_sink_that_is_not_set_is_named(receiver: Receiver) -> None:
    settings = dataclasses.replace(Settings(), **to_webhook(receiver))

    with pytest.raises(UnknownSink, match="no sink is named 'pager'; known are webhook"):
        sinks.send(settings, "pager", MESSAGE)
