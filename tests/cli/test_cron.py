"""`taskhub cron`, run as a person or a script runs it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CRONS = """
from datetime import datetime

from taskhub import Hub

hub = Hub()


@hub.cron("30 12 * * *", tz="Europe/Berlin", name="nightly", queue="night")
def nightly(scheduled_for: datetime) -> str:
    return scheduled_for.isoformat()


@hub.every(minutes=5, name="sweep", id="often")
def sweep() -> None: ...
"""


@pytest.fixture(autouse=True)
def schedules(command: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CRONS)


def test_schedules_are_listed_before_and_after_a_worker_knows_them(command: Run) -> None:
    listed = command("cron", "ls", "-o", "json")

    assert listed.returncode == 0, listed.stderr
    assert [
        (s["name"], s["expression"], s["tz"], s["state"]) for s in json.loads(listed.stdout)
    ] == [
        ("nightly", "30 12 * * *", "Europe/Berlin", "new"),
        ("sweep:often", "every 300 s", "UTC", "new"),
    ]
    assert command("cron", "ls", "-o", "ids").stdout.split() == ["nightly", "sweep:often"]
    assert "nightly" in command("cron", "ls", "-o", "table").stdout


def test_the_next_ticks_come_in_times_order_with_their_offset(command: Run) -> None:
    lines = json.loads(command("cron", "next", "nightly", "-n", "3", "-o", "json").stdout)
    both = json.loads(command("cron", "next", "-o", "json").stdout)

    assert len(lines) == 3
    assert all(line["tick"][11:16] == "12:30" for line in lines)
    assert len(both) == 10
    assert [line["name"] for line in both[:2]] != ["nightly", "nightly"]


def test_a_schedule_is_paused_with_a_reason_and_resumed(command: Run) -> None:
    paused = command("cron", "pause", "nightly", "--reason", "the disk is full", "-o", "json")
    listed = json.loads(command("cron", "ls", "-o", "json").stdout)
    warned = command("cron", "next", "nightly")
    resumed = json.loads(command("cron", "resume", "nightly", "-o", "json").stdout)

    assert json.loads(paused.stdout)["state"] == "paused"
    assert listed[0]["pause_reason"] == "the disk is full"
    assert listed[0]["paused_at"] is not None
    assert "nightly is paused" in warned.stderr
    assert resumed["state"] == "active"
    assert resumed["next_tick"][11:16] == "12:30"


def test_run_now_defers_a_job_that_a_worker_runs(command: Run) -> None:
    job_id = command("cron", "run", "nightly", "-o", "ids").stdout.strip()
    command("worker", "--queue", "night", "--burst")

    shown = json.loads(command("show", job_id, "-o", "json").stdout)

    assert shown["status"] == "succeeded"
    assert shown["result"] == shown["args"]["scheduled_for"]


@pytest.mark.parametrize("verb", ["next", "run", "pause", "resume"])
def test_an_unknown_name_is_one_line_and_exit_code_1(command: Run, verb: str) -> None:
    done = command("cron", verb, "nothing")

    assert done.returncode == 1
    assert done.stderr == "error: no schedule is named 'nothing'; see `taskhub cron ls`\n"
