"""The command line at a real terminal: colours, questions, Ctrl-C, and the second signal of a worker."""

import re
import signal
import time
from pathlib import Path

import psycopg

from taskhub import db
from tests import waiting
from tests.cli.conftest import Open, Run
from tests.cli.terminals import PATIENCE_SECONDS

CTRL_C = b"\x03"
ESCAPE = "\x1b["


def dead_letters(url: str, jobs: int) -> None:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, status) "
            "SELECT 'mail', 'send', '{}', 'failed' FROM generate_series(1, %s)",
            [jobs],
        )


def waiting_jobs(url: str) -> int:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        row = connection.execute(
            "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status = 'todo'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_terminal_gets_colours_and_no_color_takes_them_away(
    terminal: Open, database: str
) -> None:
    dead_letters(database, 1)
    colourful, plain = terminal("ls"), terminal("ls", NO_COLOR="1")

    assert (colourful.ends(), plain.ends()) == (0, 0)
    assert ESCAPE in colourful.shown
    assert ESCAPE not in plain.shown
    assert re.search(r"1\s+send\s+mail\s+failed", plain.shown)


def test_ctrl_c_at_a_question_is_130_and_changes_nothing(terminal: Open, database: str) -> None:
    dead_letters(database, 2)
    asked = terminal("retry-failed")
    asked.shows("retry 2 jobs?")

    asked.types(CTRL_C)

    assert asked.ends() == 130
    assert "interrupted" in asked.shown
    assert "Traceback" not in asked.shown
    assert waiting_jobs(database) == 0


def test_a_no_is_9_and_a_yes_goes_on(terminal: Open, database: str) -> None:
    dead_letters(database, 2)
    answers = {b"n\n": 9, b"y\n": 0}
    for keys, code in answers.items():
        asked = terminal("retry-failed", "--rate", "1/min")
        asked.shows("retry 2 jobs, spread over 2 min?")
        asked.types(keys)
        assert asked.ends() == code

    assert waiting_jobs(database) == 2


def test_ctrl_c_in_the_middle_of_a_bulk_retry_tells_how_far_it_got(
    terminal: Open, database: str, command: Run
) -> None:
    dead_letters(database, 1500)
    with psycopg.connect(db.conninfo(db.address(database))) as other:
        other.execute("SELECT FROM taskhub.procrastinate_jobs WHERE id = 1200 FOR UPDATE")
        busy = terminal("retry-failed", "--yes")
        busy.shows("1000 of 1500")

        busy.types(CTRL_C)

        assert busy.ends() == 130
        assert (
            "at least 1000 of 1500 jobs wait again; the same command takes the others" in busy.shown
        )
    assert waiting_jobs(database) == 1000
    assert command("retry-failed", "--yes", "-o", "ids").stdout == "500\n"


HOLD = """
import asyncio

from taskhub import Hub

hub = Hub()


@hub.task(name="hold")
async def hold() -> None:
    await asyncio.sleep(600)
"""


def test_a_second_sigterm_ends_a_worker_at_once(
    terminal: Open, database: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(HOLD)
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) VALUES ('q', 'hold', '{}')"
        )
    worker = terminal("worker", TASKHUB_DRAIN_SECONDS="300")
    waiting.until(lambda: waiting_jobs(database) == 0, "the claim", seconds=PATIENCE_SECONDS)

    worker.process.send_signal(signal.SIGTERM)
    first_at = time.monotonic()
    # Two that come within half a second are one: a supervisor passes on what systemd sent already.
    waiting.until(lambda: time.monotonic() - first_at > 0.6, "the echo's end")
    assert worker.process.poll() is None
    worker.process.send_signal(signal.SIGTERM)

    assert worker.ends() == 0
    assert time.monotonic() - first_at < PATIENCE_SECONDS
    assert waiting_jobs(database) == 1
