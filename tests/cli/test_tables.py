"""Tables at terminals of several widths, with characters of two cells, and what a pipe gets of them."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from taskhub.cli.tables import Fitted
from tests.cli.conftest import Open, Run
from tests.cli.terminals import in_turn

ESCAPE = "\x1b"
LONG = "the provider said that it is down until somebody there has found out what is wrong with it"
SHOP = f"""
from taskhub import Hub

hub = Hub()


class ProviderIsDown(Exception):
    pass


@hub.task(name="发送", queue="邮件队列")
def send_there() -> None:
    raise ProviderIsDown({LONG!r})


@hub.task(name="send", queue="mail")
def send() -> None:
    pass


@hub.task(name="wait", queue="邮")
def wait() -> None:
    pass


@hub.cron("0 2 * * *", name="nightly")
def nightly() -> None:
    pass
"""
WIDTHS = (40, 80, 200)
# Verbs whose lines are all of tables; `status` and `top` have sentences and an address above theirs.
TABLES = (("ls",), ("queues",), ("workers", "--stopped"), ("doctor",), ("cron", "next"))

SCREENS = (("top", "--once"), ("status",))


@pytest.fixture
def filled(database: str, project: Path, command: Run) -> str:
    """A database with jobs of Chinese names, of which some failed with much to say, and a worker that was."""
    (project / "shop.py").write_text(SHOP)
    for task in ("发送", "发送", "wait", "send"):
        command("defer", task)
    command("worker", "-q", "mail,邮件队列", "--burst")
    return database


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def lines(shown: str) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_of_a_table_is_wider_than_the_terminal_and_nothing_is_cut_off(
    terminal: Open, filled: str, columns: int
) -> None:
    for words, (code, shown) in in_turn(terminal, *TABLES, columns=columns).items():
        assert code in (0, 8), words
        assert max(map(cells, lines(shown))) <= columns, words
        assert "…" not in shown
        assert "Traceback" not in shown


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_tables_of_a_screen_fit_too(terminal: Open, filled: str, columns: int) -> None:
    for words, (code, shown) in in_turn(terminal, *SCREENS, columns=columns).items():
        assert code in (0, 8), words
        tables = lines(shown.replace("\r", "").partition("\n\n")[2])
        assert max(map(cells, tables)) <= columns, words
        assert any("邮件队列" in line for line in tables)
        assert "…" not in shown


@pytest.mark.parametrize("columns", WIDTHS)
def test_all_of_a_job_is_told_in_whatever_width(terminal: Open, filled: str, columns: int) -> None:
    seen = terminal("ls", columns=columns, NO_COLOR="1")

    assert seen.ends() == 0
    words = " ".join(seen.shown.split())
    assert "ProviderIsDown" in words
    for word in LONG.split()[:12]:
        assert word in words
    for title in ("id", "task", "queue", "status", "attempts"):
        assert title in words


@pytest.mark.parametrize("where", ["a terminal", "a pipe"])
def test_a_character_of_two_cells_leaves_the_columns_in_line(
    terminal: Open, command: Run, filled: str, where: str
) -> None:
    if where == "a terminal":
        seen = terminal("queues", columns=80, NO_COLOR="1")
        assert seen.ends() == 0
        head, *rows = [line for line in lines(seen.shown) if line]
    else:
        head, *rows = command("queues", "-o", "table").stdout.splitlines()

    end = cells(head[: head.index("ready") + len("ready")])
    assert {row.split()[0] for row in rows} == {"邮件队列", "邮"}
    for row in rows:
        ready = re.match(r"\S+ +\d", row)
        assert ready is not None
        assert cells(ready[0]) == end


def test_a_terminal_that_knows_no_escapes_gets_none(terminal: Open, filled: str) -> None:
    verbs = (*TABLES, *SCREENS, ("top",), ("tail", "--since", "1h"))
    seen = in_turn(terminal, *verbs, TERM="dumb")

    for words, (code, shown) in seen.items():
        assert code in (0, 8), words
        assert ESCAPE not in shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}], ids=str)
def test_the_demo_has_bars_where_they_are_wanted(
    terminal: Open, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "fire.txt").write_text("The fire extinguisher hangs behind the door.")
    seen = terminal("demo", "some", "--question", "Where is the extinguisher?", **variables)

    seen.shows("2. ")  # the rest of the demo is not about bars
    assert (ESCAPE in seen.shown) == (not variables)


def test_colours_are_for_terminals_that_want_them(
    terminal: Open, command: Run, filled: str
) -> None:
    wanted = in_turn(terminal, *TABLES, *SCREENS)
    unwanted = in_turn(terminal, *TABLES, *SCREENS, NO_COLOR="1")

    for words in (*TABLES, *SCREENS):
        piped = command(*words, "-o", "table")

        assert {wanted[words][0], unwanted[words][0], piped.returncode} <= {0, 8}, words
        assert ESCAPE in wanted[words][1]
        assert ESCAPE not in unwanted[words][1]
        assert ESCAPE not in piped.stdout + piped.stderr


@pytest.mark.parametrize("color", ["auto", "always"])
def test_a_pipe_gets_every_line_whole(process: Run, filled: str, color: str) -> None:
    told = process("ls", "-o", "table", "--color", color, COLUMNS="40")
    tabs = process("ls", COLUMNS="40")

    failed = [line for line in told.stdout.splitlines() if "ProviderIsDown" in line]
    assert len(failed) == 2
    assert all("the provider said that it is down until" in line for line in failed)
    assert (ESCAPE in told.stdout) == (color == "always")
    assert tabs.stdout.count(LONG) == 2
    assert ESCAPE not in tabs.stdout


WORDS = st.text(st.sampled_from("ab z一二件"), max_size=60)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), WORDS, WORDS), max_size=4),
    columns=st.integers(20, 120),
)
def test_whatever_stands_in_a_table_is_there_in_whatever_width(
    rows: list[tuple[int, str, str]], columns: int
) -> None:
    console = Console(width=columns, force_terminal=False)
    fitted = Fitted(
        ("id", "name", "message"),
        [(str(number), *texts) for number, *texts in rows],
        numbers=frozenset({0}),
        texts=frozenset({2}),
        styles={},
    )

    with console.capture() as captured:
        console.print(fitted)

    shown = captured.get()
    assert max(map(cells, shown.splitlines())) <= columns
    for number, *texts in rows:
        assert str(number) in shown
        for text in texts:
            for character in set(text) - {" "}:
                assert shown.count(character) >= text.count(character)
