"""What makes a rule of the monitor speak, as it happens, and what silences it again."""

import dataclasses
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from taskhub import Breaker, Hub, db
from taskhub.mail.post import post_many
from taskhub.mail.senders.smtp import close_idle
from taskhub.mail.tasks import mail
from taskhub.queue import horizon
from taskhub.system import alerts
from tests.mail.server import Server
from tests.system.conftest import Watched, run
from tests.waiting import until


@pytest.fixture
def closing() -> Iterator[None]:
    """A mail server does not end while somebody is connected."""
    yield
    close_idle()


def alert(hub: Hub, key: str) -> tuple[str, str, bool]:
    """An alert after another look: its severity, its text, and whether it is open."""
    run(hub, "queue_monitor")
    with hub.transaction() as session:
        shown = alerts.listed(session, resolved=True)
        [found] = [one for one in shown if one.key == key]
        return found.severity, found.text, found.resolved_at is None


def sql(hub: Hub, statement: str) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_task_that_no_worker_of_its_queue_knows_is_an_alert_until_it_is_cancelled(
    watched: Watched,
) -> None:
    hub = watched()
    sql(
        hub,
        "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) VALUES ('system', 'riddle')",
    )

    severity, told, is_open = alert(hub, "unknown_tasks:system:riddle")

    assert (severity, is_open) == ("critical", True)
    assert told == "jobs of task 'riddle' wait in queue 'system', and no live worker knows it"
    sql(
        hub, "UPDATE taskhub.procrastinate_jobs SET status = 'cancelled' WHERE task_name = 'riddle'"
    )
    assert not alert(hub, "unknown_tasks:system:riddle")[-1]


def test_an_open_breaker_is_an_alert_until_somebody_closes_it(watched: Watched) -> None:
    hub = watched()
    hub.limit("gateway", breaker=Breaker(failures=2, hold=3600))

    @hub.task(name="call", queue="calls", limit="gateway")
    def call() -> None:
        raise ConnectionError("the gateway is down")

    for _ in range(3):
        call.defer()
        hub.run_worker(queues=["calls"], wait=False, concurrency=1)

    _, told, is_open = alert(hub, "open_breakers:gateway")

    assert is_open
    assert told.startswith("the breaker of limit 'gateway' is open: ")
    assert "ConnectionError" in told
    hub.resume(key="gateway")
    assert not alert(hub, "open_breakers:gateway")[-1]


def test_refused_mails_are_an_alert_until_an_hour_is_over(
    watched: Watched, smtp: Server, closing: None
) -> None:
    hub = watched(smtp_port=smtp.settings().smtp_port, alert_mails_refused_an_hour=3)
    hub.add(mail)
    gone = [f"gone-{n}@example.com" for n in range(3)]
    smtp.refuses.update(dict.fromkeys(gone, "550 who?"))
    with hub.transaction() as session:
        post_many(session, hub.settings, "custom", gone, subject="News", paragraphs=["one"])
    hub.run_worker(queues=["mail"], wait=False)

    _, told, is_open = alert(hub, "refused_mails")

    assert is_open
    assert told == "3 or more mails were refused within the last hour"
    sql(hub, "UPDATE taskhub_kb.mail_outbox SET sending_at = sending_at - interval '1 hour'")
    assert not alert(hub, "refused_mails")[-1]


def test_a_transaction_that_keeps_dead_rows_is_an_alert_until_it_ends(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = watched()
    monkeypatch.setattr(horizon, "HELD_SECONDS", 0.0)
    monkeypatch.setattr(horizon, "DEAD_ROWS", 0)
    forgotten = db.engine(hub.url, dataclasses.replace(hub.settings))
    with forgotten.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        connection.execute(text("SELECT count(*) FROM taskhub.procrastinate_jobs"))
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        _, told, is_open = alert(hub, "vacuum_horizon")

        assert is_open
        assert told.startswith("vacuum cannot remove the queue's dead rows, held by session")
        assert str(pid) in told
    forgotten.dispose()
    monkeypatch.setattr(horizon, "HELD_SECONDS", 5.0)
    until(lambda: not alert(hub, "vacuum_horizon")[-1], "the end of the alert")
