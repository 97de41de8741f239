"""why, drain, rescue and cron rm, run as a person or a script runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskhub import db
from tests import waiting
from tests.cli.conftest import SHOP, Run

PATIENCE_SECONDS = 120.0  # an interpreter that loads everything, where all cores are busy


@pytest.fixture
def worker(tmp_path: Path, database: str) -> Iterator["subprocess.Popen[str]"]:
    """A real worker with a short lease, killed at the end."""
    (tmp_path / "shop.py").write_text(SHOP)
    process = subprocess.Popen(
        [sys.executable, "-m", "taskhub", "worker", "-A", "shop:hub", "--log-format", "json"],
        cwd=tmp_path,
        env=os.environ | {"TASKHUB_DATABASE_URL": database, "TASKHUB_LEASE_SECONDS": "4"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr
    waiting.until(lambda: "worker started" in said.readline(), "start", seconds=PATIENCE_SECONDS)
    yield process
    process.kill()
    process.communicate()


def change(url: str, statement: str) -> None:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        connection.execute(statement.encode())


JOB = "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) VALUES ('mail', 'send', '{}')"


def test_why_is_one_sentence_for_people_and_facts_for_programs(command: Run, database: str) -> None:
    change(database, JOB)
    command("pause", "mail", "--reason", "provider is down\x1b[31m")

    told = command("why", "1")
    facts = json.loads(command("why", "1", "-o", "json").stdout)
    unknown = command("why", "999")

    assert told.stdout.startswith("job 1 waits for queue 'mail' to be resumed, paused since ")
    assert "(provider is down\\x1b[31m); it also waits for a live worker" in told.stdout
    assert told.stdout.count("\n") == 1
    assert [reason["reason"] for reason in facts["reasons"]] == ["queue_paused", "no_worker"]
    assert facts["reasons"][0]["facts"]["paused_at"]
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "the highest id that was ever given is 1" in unknown.stderr
    assert command("why", "1", "-o", "ids").stdout == "1\n"
    assert "reasons\t[{" in command("why", "1", "-o", "tsv").stdout


def test_drain_waits_for_the_end_of_a_real_worker_and_says_how_it_went(
    command: Run, worker: "subprocess.Popen[str]"
) -> None:
    listed = json.loads(command("workers", "-o", "json").stdout)
    done = command("drain", str(listed[0]["id"]), "--wait", "--timeout", "60s", "-o", "json")

    assert [row["outcome"] for row in json.loads(done.stdout)] == ["ended"], done.stderr
    assert done.returncode == worker.wait(timeout=PATIENCE_SECONDS) == 0
    again = command("drain", str(listed[0]["id"]), "-o", "json")
    assert again.returncode == 7
    assert json.loads(again.stdout)[0]["outcome"] == "not asked: it is gone"


def test_drain_all_asks_first_and_a_drained_worker_is_listed_so(
    command: Run, worker: "subprocess.Popen[str]"
) -> None:
    refused = command("drain", "--all")
    done = command("drain", "--all", "--stay", "--wait", "--yes", "-o", "json")

    assert refused.returncode == 9
    assert [row["outcome"] for row in json.loads(done.stdout)] == ["drained"]
    assert json.loads(command("workers", "-o", "json").stdout)[0]["state"] == "drained"
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_drain_is_tried_first_and_asks_nobody_then(
    worker: "subprocess.Popen[str]", command: Run
) -> None:
    tried = command("drain", "--all", "--dry-run", "-o", "json")
    state = json.loads(command("workers", "-o", "json").stdout)[0]["state"]

    assert (tried.returncode, state) == (0, "live")
    assert [row["outcome"] for row in json.loads(tried.stdout)] == ["would be asked"]
    assert worker.poll() is None


def test_rescue_shows_asks_and_gives_back(
    command: Run, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(database, JOB)
    change(
        database,
        "INSERT INTO taskhub.procrastinate_workers DEFAULT VALUES; "
        "INSERT INTO taskhub.workers (id, host, pid, name, version, tasks, concurrency, lease_seconds) "
        "VALUES (1, 'box', 7, 'w', '0', '{}', 1, 0.1); "
        "UPDATE taskhub.procrastinate_jobs SET status = 'doing', worker_id = 1, claim = 1; "
        "UPDATE taskhub.procrastinate_workers SET last_heartbeat = now() - interval '1 h'",
    )
    monkeypatch.setenv("TASKHUB_LEASE_SECONDS", "0.5")

    dry = command("rescue", "--dry-run", "-o", "json")
    refused = command("rescue", "-o", "json")
    done = command("rescue", "--yes", "-o", "json")
    nothing = command("rescue", "--yes", "-o", "json")

    assert json.loads(dry.stdout) == json.loads(done.stdout) == [
        {
            "job_id": 1, "task": "send", "queue": "mail", "worker_id": 1, "lost": 1,
            "outcome": "waits again",
        }
    ]  # fmt: skip
    assert (refused.returncode, refused.stdout) == (9, "")
    assert (nothing.returncode, nothing.stdout) == (0, "[]\n")
    assert "no job is held by a dead worker" in nothing.stderr


def test_rescue_of_a_worker_that_lives_is_refused_and_says_what_force_means(
    command: Run, worker: "subprocess.Popen[str]"
) -> None:
    worker_id = command("workers", "-o", "ids").stdout.strip()

    refused = command("rescue", worker_id, "--yes")
    forced = command("rescue", worker_id, "--force", "--yes", "-o", "json")

    assert refused.returncode == 9
    assert "so it seems to live" in refused.stderr
    assert "only commits through the hub are fenced" in refused.stderr
    assert (forced.returncode, forced.stdout) == (0, "[]\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["drain"], 2, "give WORKER_IDs or --all"),
        (["drain", "4", "--all"], 2, "give WORKER_IDs or --all"),
        (["drain", "4"], 1, "no worker 4; see `taskhub workers --stopped`"),
        (["rescue", "--force"], 2, "--force needs the WORKER_IDs"),
        (["rescue", "4"], 1, "no worker 4"),
        (["retry-failed", "--rate", "0/s"], 2, "must be like 50/s, 30/min or 100/h, got '0/s'"),
        (["retry-failed", "--rate", "fast"], 2, "must be like 50/s, 30/min or 100/h, got 'fast'"),
        (["cron", "rm", "nothing", "--yes"], 1, "no schedule is named 'nothing'"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    command: Run, arguments: list[str], code: int, message: str
) -> None:
    ended = command(*arguments)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr


def test_a_stale_schedule_is_removed(command: Run, database: str) -> None:
    change(
        database,
        "INSERT INTO taskhub.crons (task_name, cron_id, expression, zone, catch_up, jitter_seconds, mark) "
        "VALUES ('old', '', '* * * * *', 'UTC', 'last', 0, now() - interval '1 d')",
    )

    dry = command("cron", "rm", "old", "--dry-run", "-o", "json")
    refused = command("cron", "rm", "old")
    done = command("cron", "rm", "old", "--yes", "-o", "json")

    assert json.loads(dry.stdout) == {"name": "old", "outcome": "would go"}
    assert refused.returncode == 9
    assert json.loads(done.stdout) == {"name": "old", "outcome": "removed"}
    assert json.loads(command("cron", "ls", "-o", "json").stdout) == []
