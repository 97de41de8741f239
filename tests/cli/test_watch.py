"""doctor, alerts and stats at the command line."""

import json

import psycopg

from taskhub import db
from tests.cli.conftest import Run
from tests.system.receiver import receiving

SECRET = "a secret of the two of us"  # noqa: S105 - of a test


def test_the_doctor_ends_with_8_when_a_check_fails(command: Run, database: str) -> None:
    before = command("doctor", "-o", "json")
    command("defer", "send", "order_id=1")
    with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
        connection.execute(
            "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '2 minutes'"
        )

    after = command("doctor", "-o", "json")

    assert before.returncode == 0
    assert after.returncode == 8
    [failed] = [check for check in json.loads(after.stdout) if check["state"] == "fail"]
    assert failed["remedy"] == "taskhub worker --queue mail"


def test_a_test_notice_goes_to_the_sink_that_is_named(command: Run) -> None:
    with receiving() as receiver:
        told = {
            "TASKHUB_NOTICE_WEBHOOK_URL": receiver.url,
            "TASKHUB_NOTICE_WEBHOOK_SECRET": SECRET,
        }
        listed = command("alerts", "test", "-o", "ids", **told)
        sent = command("alerts", "test", "webhook", **told)
        receiver.answers.append((500, {}))
        refused = command("alerts", "test", "webhook", **told)
        shown = command("config", "show", **told)

    assert listed.stdout == "webhook\n"
    assert (sent.returncode, refused.returncode) == (0, 1)
    assert refused.stderr == "error: the webhook answered 500\n"
    assert len(receiver.received) == 2
    assert SECRET not in shown.stdout
    assert receiver.url not in shown.stdout


def test_alerts_and_statistics_are_listed(command: Run, database: str) -> None:
    with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO taskhub_kb.alerts (key, severity, text, remedy) VALUES ('k', 'warning', 't', 'r')"
        )
        connection.execute(
            """
            INSERT INTO taskhub_kb.job_statistics (hour, queue, task, succeeded, failed, retried, lost)
            VALUES (date_trunc('hour', now()), 'mail', 'send', 7, 0, 0, 0)
            """
        )

    [alert] = json.loads(command("alerts", "ls", "-o", "json").stdout)
    [total] = json.loads(command("stats", "--by", "queue", "-o", "json").stdout)

    assert (alert["key"], alert["text"], alert["resolved_at"]) == ("k", "t", None)
    assert (total["name"], total["succeeded"]) == ("mail", 7)
