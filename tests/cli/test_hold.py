"""Limits and pauses from the command line."""

import json

import psycopg

from taskhub import db
from tests.cli.conftest import Run


def change(url: str, *statements: str) -> None:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_limit_is_set_listed_and_taken_away(command: Run) -> None:
    done = command("limits", "set", "queue:mail", "--at-most", "10", "-o", "json")
    listed = json.loads(command("limits", "-o", "json").stdout)
    removed = command("limits", "rm", "queue:mail")
    again = command("limits", "rm", "queue:mail")

    assert json.loads(done.stdout) == {"name": "queue:mail", "at_most": 10}
    assert [(r["name"], r["at_most"], r["running"]) for r in listed] == [("queue:mail", 10, 0)]
    assert removed.returncode == 0
    assert (again.returncode, again.stderr.strip()) == (7, "queue:mail had no limit of its own")


def test_a_paused_queue_waits_and_goes_on_when_resumed(command: Run) -> None:
    command("defer", "send", "order_id=7")
    command("pause", "mail", "--reason", "provider is down", "--until", "2h")
    command("worker", "--burst")
    listed = json.loads(command("limits", "-o", "json").stdout)
    waiting = json.loads(command("ls", "-o", "json").stdout)
    resumed = command("resume", "mail")
    command("worker", "--burst")

    assert [(r["name"], r["reason"]) for r in listed] == [("queue:mail", "provider is down")]
    assert listed[0]["paused_until"] is not None
    assert [job["status"] for job in waiting] == ["todo"]
    assert resumed.returncode == 0
    assert command("resume", "mail").returncode == 7
    assert json.loads(command("limits", "-o", "json").stdout) == []


def test_one_thing_is_paused_at_a_time(command: Run) -> None:
    refused = command("pause", "mail", "--task", "send")

    assert refused.returncode == 2
    assert "give one of QUEUE, --task and --key" in refused.stderr


def test_a_rate_feedback_and_a_breaker_are_set_and_listed(command: Run) -> None:
    rate = ("--per-minute", "6000", "--burst", "500", "--at-most", "50")
    done = command("limits", "set", "api", *rate, "--feedback", "--breaker", "5/60s/1.5m")
    [listed] = json.loads(command("limits", "-o", "json").stdout)

    assert done.returncode == 0
    assert (listed["per_second"], listed["burst"], listed["at_most"]) == (100, 500, 50)
    assert (listed["tokens"], listed["breaker"], listed["is_declared"]) == (500, "closed", False)
    assert command("limits").returncode == 0


def test_a_limit_that_cannot_be_is_refused(command: Run) -> None:
    bad = [["--breaker", "5"], ["--per-hour", "1", "--per-day", "1"], ["--per-day", "0"]]
    for said in bad:
        refused = command("limits", "set", "api", *said)

        assert refused.returncode == 2
        assert "must be" in refused.stderr or "give one of" in refused.stderr


WAITING = """
INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, {0})
VALUES ('mail', 'send', '{{}}', '{1}')
"""


def test_a_fair_key_is_weighed_and_listed_with_what_waits(command: Run, database: str) -> None:
    tenant = WAITING.format("fair_key", "tenant:7")
    change(database, tenant, tenant, WAITING.format("fair_key", "tenant:8"))
    weighed = command("weigh", "mail", "tenant:7", "3", "-o", "json")
    listed = json.loads(command("queues", "--fair-keys", "mail", "-o", "json").stdout)
    taken_back = command("weigh", "mail", "tenant:7", "1")
    again = json.loads(command("queues", "--fair-keys", "mail", "-o", "json").stdout)

    assert json.loads(weighed.stdout) == {"queue": "mail", "fair_key": "tenant:7", "weight": 3}
    assert [(r["fair_key"], r["waiting"], r["weight"]) for r in listed] == [
        ("tenant:7", 2, 3), ("tenant:8", 1, 1),
    ]  # fmt: skip
    assert (taken_back.returncode, again[0]["weight"]) == (0, 1)
    refused = command("weigh", "mail", "tenant:7", "1001")
    assert (refused.returncode, "1001 is not in the range" in refused.stderr) == (2, True)


def test_an_open_breaker_is_a_warning_and_missing_tokens_are_a_note(
    command: Run, database: str
) -> None:
    change(
        database,
        WAITING.format("limit_key", "api"),
        WAITING.format("limit_key", "slow"),
        "INSERT INTO taskhub.rules (name, breaker_failures) VALUES ('api', 1), ('idle', 1)",
        "INSERT INTO taskhub.rules (name, rate, burst) VALUES ('slow', 0.001, 1)",
        "INSERT INTO taskhub.limit_states (name, opened_at, open_until, open_reason) "
        "SELECT n, now(), now() + interval '1 h', 'OSError: no route' FROM unnest(ARRAY['api', 'idle']) AS n",
        "INSERT INTO taskhub.limit_states (name, tokens, filled_at, wake_at) "
        "VALUES ('slow', 0, now(), now() + interval '1 h')",
    )

    told = command("status", "-o", "json")

    warnings, notes = json.loads(told.stdout)["warnings"], json.loads(told.stdout)["notes"]
    assert told.returncode == 8
    assert [w for w in warnings if "breaker" in w] == [warnings[-1]]
    assert warnings[-1].startswith("the breaker of limit 'api' opened ")
    assert warnings[-1].endswith(": OSError: no route; `taskhub resume --key api` closes it")
    assert "jobs of limit 'slow' wait for tokens" in notes
