"""doctor, alerts and stats at the command line."""

import json
from pathlib import Path

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


def test_the_rules_are_listed_with_their_bounds_and_each_is_in_the_runbook(command: Run) -> None:
    listed = command("alerts", "rules", "-o", "json", TASKHUB_ALERT_OLDEST_BY_QUEUE="mail=60")

    rules = {one["rule"]: one for one in json.loads(listed.stdout)}
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert rules["oldest_age"]["bounds"] == {
        "alert_oldest_seconds": 900.0,
        "alert_oldest_by_queue": {"mail": "60"},
    }
    for name, rule in rules.items():
        assert f"\n`{name}`" in page, f"docs/alerts.md does not say what to do about {name}"
        assert rule["finds"]
        for setting in rule["bounds"]:
            assert f"`{setting}" in page, f"docs/alerts.md does not name {setting}"


def test_the_watcher_looks_once_for_a_cron_of_the_system(command: Run, database: str) -> None:
    with receiving() as receiver:
        told = {
            "TASKHUB_NOTICE_WEBHOOK_URL": receiver.url,
            "TASKHUB_NOTICE_WEBHOOK_SECRET": SECRET,
        }
        silent = command("alerts", "watch", "--once", "-o", "json", **told)
        with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
            connection.execute(
                "INSERT INTO taskhub_kb.bookmarks (name, at) VALUES ('queue_monitor', now())"
            )
        quiet = command("alerts", "watch", "--once", "-o", "ids", **told)

    assert (silent.returncode, json.loads(silent.stdout)["sent"]) == (8, 1)
    assert (quiet.returncode, quiet.stdout) == (0, "quiet\n")
    assert len(receiver.received) == 1
