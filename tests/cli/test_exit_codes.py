"""Every exit code that is documented, from a real command on a real database."""

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from taskhub import db
from taskhub.cli import errors
from tests.cli.conftest import Open, Run

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
CODES = (
    errors.OK, errors.FAILED, errors.USAGE, errors.APP, errors.DATABASE, errors.SCHEMA, errors.PARTLY,
    errors.UNHEALTHY, errors.REFUSED, errors.INTERRUPTED,
)  # fmt: skip
NOWHERE = "postgresql://nobody@127.0.0.1:1/x"


def dead_letter(command: Run) -> None:
    command("defer", "send", "order_id=13")
    command("worker", "--burst")


def waiting_job(command: Run) -> None:
    command("defer", "send", "order_id=7")


# The code, what is done before, the command, and what it says.
CASES: tuple[tuple[int, Callable[[Run], None] | None, tuple[str, ...], str], ...] = (
    (0, waiting_job, ("queues",), ""),
    (0, None, ("status",), ""),
    (1, None, ("show", "999"), "no job 999"),
    (1, None, ("cron", "run", "nosuch"), "nosuch"),
    (1, None, ("mail", "preview", "nosuch"), "kind must be one of"),
    (2, None, ("ls", "--nosuch"), "no such option"),
    (2, None, ("ls", "--database-url", "mysql://x/y"), "mysql"),
    (2, None, ("cancel",), "give JOB_IDs or --filter"),
    (3, None, ("defer", "send", "order_id=7", "-A", "nosuch:hub"), "No module named 'nosuch'"),
    (4, None, ("ls", "--database-url", NOWHERE), "database unreachable"),
    (7, waiting_job, ("retry", "1"), ""),
    (7, waiting_job, ("cancel", "1", "999"), ""),
    (8, waiting_job, ("status",), ""),
    (8, None, ("alerts", "watch", "--once"), ""),
    (9, dead_letter, ("retry-failed",), "run again with --yes"),
    (9, waiting_job, ("cancel", "--filter", "queue:mail"), "run again with --yes"),
)


@pytest.mark.parametrize(
    ("code", "before", "words", "said"), CASES, ids=[f"{c[0]} {' '.join(c[2])}" for c in CASES]
)
def test_a_command_ends_with_the_code_that_is_documented(
    command: Run, code: int, before: Callable[[Run], None] | None, words: tuple[str, ...], said: str
) -> None:
    if before is not None:
        before(command)

    ended = command(*words)

    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words", [("ls",), ("worker", "--burst"), ("db", "migrate", "--check")], ids=" ".join
)
def test_a_schema_that_is_behind_is_5(
    command: Run, empty_database: str, words: tuple[str, ...]
) -> None:
    assert command(*words, TASKHUB_DATABASE_URL=empty_database).returncode == errors.SCHEMA


def test_a_database_or_a_role_that_is_not_there_is_4(command: Run, database: str) -> None:
    address = db.address(database)
    for wrong in (address.set(database="nosuch"), address.set(username="nosuch")):
        ended = command("ls", "--database-url", wrong.render_as_string(hide_password=False))

        assert ended.returncode == errors.DATABASE, ended.stderr
        assert ended.stderr.startswith("error: database unreachable")


def test_what_a_role_may_not_do_is_1_and_the_database_is_quoted(
    command: Run, database: str
) -> None:
    role = f"guest_of_{db.address(database).database}"
    with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        try:
            url = db.address(database).set(username=role)
            ended = command("ls", "--database-url", url.render_as_string(hide_password=False))
        finally:
            connection.execute(f"DROP ROLE {role}")

    assert ended.returncode == errors.FAILED
    assert "the database refused: permission denied" in ended.stderr


def test_ctrl_c_is_130(terminal: Open) -> None:
    seen = terminal("tail", "-f")
    seen.shows("following")
    seen.types(b"\x03")

    assert seen.ends() == errors.INTERRUPTED


def test_the_page_has_all_codes_and_each_has_a_command_here() -> None:
    [told] = re.findall(r"Exit codes: (.*?)\.\s`", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    documented = [
        int(number) for number in re.findall(r"(?:^|, )\s*(\d+)\s", told.replace("\n", " "))
    ]

    assert tuple(documented) == CODES
    shown_here = {case[0] for case in CASES} | {errors.SCHEMA, errors.INTERRUPTED}
    assert shown_here == set(CODES)


def test_an_app_without_the_knowledge_base_is_told_where_its_tasks_are_needed(
    command: Run, process: Run
) -> None:
    command("dataset", "create", "house", "-A", "taskhub.app:hub")

    # In a process of its own: in this one the knowledge base has found a hub.
    ended = process("dataset", "clean", "house", "--yes")

    assert ended.returncode == errors.APP, ended.stderr
    assert "belongs to no hub yet" in ended.stderr
    assert "-v" not in ended.stderr
