"""Long changes tell how far they are: a bar at a terminal, plain lines in a pipe and where none is wanted."""

from pathlib import Path

import psycopg
import pytest

from taskhub import db
from tests.cli.conftest import Open, Run
from tests.cli.test_terminal import CTRL_C, ESCAPE, dead_letters

BUILT_IN = ("-A", "taskhub.app:hub")
ERASE_LINE = "\x1b[2K"


def change(url: str, statement: str) -> None:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        connection.execute(statement)


def test_a_retry_of_thousands_writes_plain_lines_into_a_pipe(command: Run, database: str) -> None:
    dead_letters(database, 2500)

    told = command("retry-failed", "--yes", "-o", "ids")

    assert (told.returncode, told.stdout) == (0, "2500\n")
    lines = [line for line in told.stderr.splitlines() if " of " in line]
    assert lines == ["  1000 of 2500 jobs", "  2000 of 2500 jobs", "  2500 of 2500 jobs"]
    assert ESCAPE not in told.stderr
    assert "\r" not in told.stderr


def test_a_retry_of_thousands_has_a_bar_at_a_terminal_that_goes_at_its_end(
    terminal: Open, database: str
) -> None:
    dead_letters(database, 2500)
    seen = terminal("retry-failed", "--yes")

    assert seen.ends() == 0
    moved, _, after = seen.shown.rpartition(ERASE_LINE)
    assert "2500 of 2500 jobs" in moved
    assert "of 2500 jobs" not in after
    assert "2500 jobs wait again" in after


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_that_wants_no_escapes_gets_the_plain_lines(
    terminal: Open, database: str, variables: dict[str, str]
) -> None:
    dead_letters(database, 1500)
    seen = terminal("retry-failed", "--yes", **variables)

    assert seen.ends() == 0
    assert "  1000 of 1500 jobs\r\n  1500 of 1500 jobs\r\n" in seen.shown
    assert ESCAPE not in seen.shown


def test_a_few_jobs_need_no_progress(command: Run, database: str) -> None:
    dead_letters(database, 10)

    told = command("retry-failed", "--yes")

    assert " of 10" not in told.stderr


def waiting_jobs(url: str, jobs: int) -> None:
    dead_letters(url, jobs)
    change(url, "UPDATE taskhub.procrastinate_jobs SET status = 'todo'")


def test_a_cancel_of_thousands_tells_how_far_it_is(command: Run, database: str) -> None:
    waiting_jobs(database, 2500)

    told = command("cancel", "--filter", "queue:mail", "--yes", "-o", "ids")

    assert (told.returncode, told.stdout) == (0, "2500\n")
    assert "  1000 of 2500 jobs\n  2000 of 2500 jobs\n  2500 of 2500 jobs\n" in told.stderr


def test_a_cancel_that_is_broken_off_tells_how_far_it_got(
    terminal: Open, database: str, command: Run
) -> None:
    waiting_jobs(database, 1500)
    with psycopg.connect(db.conninfo(db.address(database))) as other:
        other.execute("SELECT FROM taskhub.procrastinate_jobs WHERE id = 1200 FOR UPDATE")
        busy = terminal("cancel", "--filter", "queue:mail", "--yes")
        busy.shows("1000 of 1500 jobs")

        busy.types(CTRL_C)

        assert busy.ends() == 130
        assert "at least 1000 of 1500 jobs are cancelled or asked to stop" in busy.shown
    left = command("cancel", "--filter", "queue:mail", "--yes", "-o", "ids")
    assert left.stdout == "500\n"


def test_a_prune_of_thousands_tells_how_far_it_is(command: Run, database: str) -> None:
    dead_letters(database, 2500)
    change(
        database,
        "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '400 days'",
    )

    told = command("prune", "--yes", "-o", "json")

    assert told.returncode == 0, told.stderr
    assert "2500 jobs" in told.stderr
    assert "rows and parts\n" in told.stderr
    assert ESCAPE not in told.stderr


def test_a_backup_counts_its_tables_in_lines_or_in_a_bar(
    command: Run, terminal: Open, project: Path
) -> None:
    piped = command("db", "backup", "one.taskhub")
    seen = terminal("db", "backup", "two.taskhub")
    assert (piped.returncode, seen.ends()) == (0, 0)
    back = terminal("db", "restore", "two.taskhub", "--replace", "--yes")
    again = command("db", "verify", "one.taskhub")

    assert (back.ends(), again.returncode) == (0, 0)
    for told in (piped, again):
        lines = [line for line in told.stderr.splitlines() if " tables, " in line]
        assert 10 <= len(lines) <= 30
        assert ESCAPE not in told.stderr
    for one in (seen, back):
        assert " tables, " in one.shown
        assert ERASE_LINE in one.shown


def test_documents_are_counted_while_they_are_added_and_looked_at_again(
    command: Run, terminal: Open, project: Path
) -> None:
    (project / "docs").mkdir()
    for number in range(45):
        (project / "docs" / f"{number:02}.txt").write_text(f"Page {number}.")
    command("dataset", "create", "handbook", *BUILT_IN)
    added = command("document", "add", "docs", "--dataset", "handbook", *BUILT_IN)
    words = ("document", "index", "--dataset", "handbook", "--force", *BUILT_IN)

    tried = command(*words, "--dry-run", "-o", "json")
    refused = command(*words)
    piped = command(*words, "--yes", "-o", "ids")
    seen = terminal(*words, "--yes")

    assert seen.ends() == 0
    assert [line.split()[0] for line in added.stderr.splitlines() if " stored, " in line] == [
        "1",
        "20",
        "40",
    ]
    assert (tried.returncode, refused.returncode) == (0, 9)
    assert '"deferred": 45' in tried.stdout
    assert piped.stdout == "45\n"
    assert "  45 of 45 documents\n" in piped.stderr
    assert "45 of 45 documents" in seen.shown
    assert ERASE_LINE in seen.shown
