"""What people change from the command line leaves a row with their name, their reason and the numbers."""

import json
import os
import pwd

from taskhub import Hub
from taskhub.queue import insight
from tests.cli.conftest import Run


def test_each_verb_that_changes_something_is_noted(command: Run, hub: Hub) -> None:
    command("defer", "send", "order_id=13")
    command("defer", "send", "order_id=13")
    command("worker", "--burst")
    why = ("--reason", "mended")
    changes = [
        ("retry", "1", "9", *why),
        ("retry-failed", "--yes", *why),
        ("cancel", "1", *why),
        ("pause", "mail", *why),
        ("resume", "mail", *why),
        ("weigh", "mail", "tenant:7", "3", *why),
        ("limits", "set", "queue:mail", "--at-most", "3"),
        ("limits", "rm", "queue:mail"),
    ]
    for change in changes:
        command(*change)

    rows = insight.audit(hub)[::-1]

    assert [row.action for row in rows] == [
        "retry", "retry-failed", "cancel", "pause", "resume", "weigh", "limits set", "limits rm",
    ]  # fmt: skip
    me = pwd.getpwuid(os.getuid()).pw_name
    assert {(row.actor, row.source, row.outcome) for row in rows} == {(me, "cli", "done")}
    assert {row.reason for row in rows[:6]} == {"mended"}
    assert [(row.matched, row.changed) for row in rows[:3]] == [(2, 1), (1, 1), (1, 1)]
    assert [row.target for row in rows[2:6]] == [
        {"ids": [1]}, {"name": "queue:mail"}, {"name": "queue:mail"},
        {"queue": "mail", "fair_key": "tenant:7", "weight": 3},
    ]  # fmt: skip


def test_a_change_that_was_refused_is_noted_as_failed(command: Run, hub: Hub) -> None:
    done = command("cron", "pause", "nobody", "--reason", "quiet")

    [row] = insight.audit(hub)
    assert done.returncode != 0
    assert (row.action, row.target, row.outcome) == ("cron pause", {"name": "nobody"}, "failed")
    assert row.error is not None
    assert "nobody" in row.error


def test_all_jobs_that_fit_a_filter_are_listed_and_cancelled(command: Run, hub: Hub) -> None:
    for order in (1, 2):
        command("defer", "send", f"order_id={order}")

    listed = command("ls", "queue:mail", "args.order_id:2", "-o", "ids")
    asked = command("cancel", "--filter", "queue:mail -args.order_id:2")
    looked = command("cancel", "--filter", "queue:mail", "--dry-run", "-o", "json")
    done = command("cancel", "--filter", "queue:mail -args.order_id:2", "--yes", "-o", "json")
    wrong = command("ls", "stat:failed")

    assert listed.stdout.split() == ["2"]
    assert (asked.returncode, "1 jobs match" in asked.stderr) == (9, True)
    assert json.loads(looked.stdout) == {"matched": 2, "cancelled": 0, "dry_run": True}
    assert json.loads(done.stdout) == {"matched": 1, "cancelled": 1, "dry_run": False}
    assert [insight.job(hub, n).status for n in (1, 2)] == ["cancelled", "todo"]
    assert [(row.action, row.changed) for row in insight.audit(hub)] == [("cancel", 1)]
    assert (wrong.returncode, "did you mean state" in wrong.stderr) == (2, True)
