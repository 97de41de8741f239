"""The way around the queue: told by the watcher itself while no worker looks, and no more than needed."""

import json

import psycopg
from sqlalchemy import text

from taskhub import db
from taskhub.system.watch import Watch, watching
from tests import waiting
from tests.mail.server import Server
from tests.system.conftest import Watched, run, to_webhook
from tests.system.receiver import Receiver


def subjects(receiver: Receiver) -> list[str]:
    return [json.loads(body)["subject"] for _, body in receiver.received]


def lines(receiver: Receiver) -> list[str]:
    return [line for _, body in receiver.received for line in json.loads(body)["lines"]]


def test_where_no_worker_looks_the_watcher_tells_what_is_wrong_once(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(alert_lonely_seconds=0, **to_webhook(receiver))
    hub.tasks["work"].defer()
    watch = Watch(hub)

    first, second = watch.look(), watch.look()

    assert (first.state, first.sent) == ("looked", 1)
    assert (second.state, second.sent) == ("looked", 0)
    assert any("the monitor has never looked" in line for line in lines(receiver))
    assert any(
        "queue 'shop' holds 1 ready jobs and has no live worker" in line for line in lines(receiver)
    )
    with hub.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM taskhub.procrastinate_jobs")) == 1


def test_it_is_quiet_while_the_monitor_looks_which_resolves_what_it_told(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(**to_webhook(receiver))
    watch = Watch(hub)
    watch.look()

    run(hub, "queue_monitor")
    after = watch.look()

    assert after.state == "quiet"
    assert subjects(receiver)[-1].startswith("[taskhub] resolved: the monitor has never looked")
    assert len(receiver.received) == 2


def test_of_two_watchers_one_tells(watched: Watched, receiver: Receiver) -> None:
    hub = watched(**to_webhook(receiver))
    with hub.engine.begin() as other:
        other.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('taskhub watch taskhub_kb', 0))")
        )
        assert Watch(hub).look().state == "elsewhere"

    assert receiver.received == []


def test_a_sink_that_refuses_gets_it_at_the_next_look(watched: Watched, receiver: Receiver) -> None:
    hub = watched(**to_webhook(receiver))
    receiver.answers.append((503, {}))
    watch = Watch(hub)

    first, second = watch.look(), watch.look()

    assert (first.sent, first.waiting) == (0, 1)
    assert (second.sent, second.waiting) == (1, 0)
    keys = {headers["Taskhub-Delivery"] for headers, _ in receiver.received}
    assert len(keys) == 1


def test_a_database_that_went_away_is_told_by_mail_once_and_its_return_too(
    database: str, smtp: Server, watched: Watched
) -> None:
    name = db.address(database).database
    admin = db.conninfo(db.address(database).set(database="postgres"))
    told = smtp.settings()
    hub = watched(
        smtp_host=told.smtp_host,
        smtp_port=told.smtp_port,
        mail_from=told.mail_from,
        notice_mail_to=("ops@example.com",),
        watch_silent_seconds=3600,
    )
    with hub.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO taskhub_kb.bookmarks (name, at) VALUES ('queue_monitor', now())")
        )
    watch = Watch(hub)
    assert watch.look().state == "quiet"

    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        away = [watch.look() for _ in range(4)]
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    back = [watch.look() for _ in range(2)]

    assert {look.state for look in away} == {"away"}
    assert [look.sent for look in away] == [0, 1, 0, 0]
    assert [(look.state, look.sent) for look in back] == [("quiet", 1), ("quiet", 0)]
    assert len(smtp.mails) == 2


def test_up_watches_from_a_thread_and_only_where_somebody_is_told(
    watched: Watched, receiver: Receiver
) -> None:
    with watching(watched(), every_seconds=0.01):
        pass
    with watching(watched(**to_webhook(receiver)), every_seconds=0.01):
        waiting.until(lambda: receiver.received, "a notice")

    assert len(receiver.received) == 1
