"""Limits and pauses from the command line."""

import json

from tests.cli.conftest import Run


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
