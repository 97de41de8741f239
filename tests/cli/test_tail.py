"""`taskhub tail`: the last events, and those to come."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Open, Run

CTRL_C = b"\x03"


def test_the_last_events_are_told_with_what_the_runs_came_to(command: Run) -> None:
    for order in ("7", "13"):
        command("defer", "send", f"order_id={order}")
    command("worker", "--burst")

    every = [json.loads(line) for line in command("tail", "-o", "jsonl").stdout.splitlines()]
    failed = command("tail", "--event", "failed", "-o", "ids")
    other = command("tail", "--queue", "other", "-o", "ids")

    assert {(e["job_id"], e["event"]) for e in every} == {(1, "succeeded"), (2, "failed")}
    assert [e["error_message"] for e in every if e["job_id"] == 2] == ["no such order"]
    assert failed.stdout == "2\n"
    assert other.stdout == ""


def test_a_list_with_no_end_is_no_json(command: Run) -> None:
    ended = command("tail", "-f", "-o", "json")

    assert ended.returncode == 2
    assert "-o jsonl" in ended.stderr


def test_it_follows_until_ctrl_c(terminal: Open, command: Run) -> None:
    seen = terminal("tail", "-f", "--since", "1h", NO_COLOR="1")
    seen.shows("following")
    command("defer", "send", "order_id=7")
    seen.shows("deferred    job 1  send  mail")
    command("worker", "--burst")
    seen.shows("succeeded   job 1  send  mail")

    seen.types(CTRL_C)

    assert seen.ends() == 130
    assert "Traceback" not in seen.shown


def test_a_reader_who_has_gone_is_no_error_and_nothing_to_talk_of(project: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "taskhub", "config", "show", "-o", "json"],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as talks:  # fmt: skip
        assert talks.stdout is not None
        assert talks.stderr is not None
        talks.stdout.close()
        said = talks.stderr.read()

    assert (talks.returncode, said) == (0, b"")
