"""`taskhub worker --processes`: real workers under a supervisor, and what a queue may be called."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskhub import db
from tests import waiting
from tests.cli.conftest import SHOP, Run

PATIENCE_SECONDS = 120.0  # several interpreters that load everything, where all cores are busy

Supervise = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def supervise(tmp_path: Path, database: str) -> Iterator[Supervise]:
    """Starts `taskhub worker …` on the test's own database; what is left is killed at the end."""
    (tmp_path / "shop.py").write_text(SHOP)
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "taskhub", "worker", "--log-format", "json", *arguments],
            cwd=tmp_path,
            env=os.environ | {"TASKHUB_DATABASE_URL": database, "TASKHUB_LEASE_SECONDS": "2"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()  # its children are told by the kernel
        process.communicate()


def until(condition: Callable[[], object], what: str) -> None:
    waiting.until(condition, what, seconds=PATIENCE_SECONDS)


def workers(url: str) -> list[dict[str, Any]]:
    """Every worker that ever was, oldest first."""
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        cursor = connection.execute(
            "SELECT name, pid, concurrency, queues, stop_reason FROM taskhub.workers ORDER BY id"
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def named(url: str, name: str) -> list[dict[str, Any]]:
    return [worker for worker in workers(url) if worker["name"] == name]


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_so_many_workers_run_with_the_same_options_and_drain_at_sigterm(
    supervise: Supervise, database: str
) -> None:
    parent = supervise(
        "-A", "shop:hub", "--processes", "2", "--name", "shop", "-q", "mail,other", "-q", "third",
        "-c", "3",
    )  # fmt: skip
    until(lambda: len(workers(database)) == 2, "registering")

    parent.terminate()

    assert parent.wait(timeout=PATIENCE_SECONDS) == 0
    found = sorted(workers(database), key=lambda worker: str(worker["name"]))
    assert [worker["name"] for worker in found] == ["shop-1", "shop-2"]
    assert [worker["concurrency"] for worker in found] == [3, 3]
    assert [worker["queues"] for worker in found] == [["mail", "other", "third"]] * 2
    assert parent.pid not in {worker["pid"] for worker in found}


def test_a_killed_worker_comes_back_as_a_new_one(supervise: Supervise, database: str) -> None:
    supervise("-A", "shop:hub", "--processes", "2")
    until(lambda: len(workers(database)) == 2, "registering")
    first = named(database, "worker-1")[0]["pid"]

    os.kill(first, signal.SIGKILL)

    until(lambda: len(named(database, "worker-1")) == 2, "coming back")
    assert named(database, "worker-1")[1]["pid"] != first
    assert len(named(database, "worker-2")) == 1


def test_workers_drain_when_their_supervisor_is_killed(supervise: Supervise, database: str) -> None:
    parent = supervise("-A", "shop:hub", "--processes", "2")
    until(lambda: len(workers(database)) == 2, "registering")
    pids = [worker["pid"] for worker in workers(database)]

    parent.kill()

    until(lambda: not any(lives(pid) for pid in pids), "ending")


def test_a_burst_of_processes_runs_all_jobs_and_ends(supervise: Supervise, database: str) -> None:
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) "
            "SELECT 'mail', 'send', jsonb_build_object('order_id', n) FROM generate_series(1, 3) AS n"
        )

    parent = supervise("-A", "shop:hub", "--processes", "2", "--burst")

    assert parent.wait(timeout=PATIENCE_SECONDS) == 0
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        stored = connection.execute("SELECT outcome::text FROM taskhub.attempts").fetchall()
    assert stored == [("succeeded",)] * 3
    assert {worker["stop_reason"] for worker in workers(database)} == {"done"}


@pytest.mark.parametrize(
    ("app", "code", "message"),
    [
        ("nosuch:hub", 3, "No module named 'nosuch'"),
        ("shop:nosuch", 3, "it has the hub hub"),
    ],
)
def test_an_app_that_cannot_be_had_ends_all_with_its_code(
    supervise: Supervise, database: str, app: str, code: int, message: str
) -> None:
    parent = supervise("-A", app, "--processes", "2")

    told = parent.communicate(timeout=PATIENCE_SECONDS)[1]

    assert parent.returncode == code
    assert message in told
    assert "worker cannot start, all are stopped" in told
    assert workers(database) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("q" * 41, "must be at most 40 bytes, got 41"),
        ("队" * 14, "must be at most 40 bytes, got 42"),
        ("mail:0", "weight of queue 'mail' must be a whole number from 1"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(command: Run, name: str, message: str) -> None:
    alone = command("worker", "--queue", name, "--burst")
    many = command("worker", "--queue", name, "--burst", "--processes", "2")

    assert (alone.returncode, many.returncode) == (2, 2)
    assert message in alone.stderr
    assert message in many.stderr


def test_queues_with_weights_are_served(command: Run) -> None:
    command("defer", "send", "order_id=7")
    served = command("worker", "-q", "mail:4,other", "-q", "third:2", "--burst")
    listed = command("ls", "-o", "tsv")

    assert served.returncode == 0
    assert "queues: mail:4, other:1, third:2, " in served.stderr
    assert "\tsucceeded\t" in listed.stdout
