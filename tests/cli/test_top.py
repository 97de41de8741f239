"""`taskhub top`: once in a pipe, live at a terminal."""

import json

from tests.cli.conftest import Open, Run

CTRL_C = b"\x03"


def test_once_it_prints_what_the_queues_hold(command: Run) -> None:
    command("defer", "send", "order_id=7")

    screen = command("top", "--once", "-o", "table")
    told = json.loads(command("top", "-o", "json").stdout)

    assert "1 ready, 0 scheduled, 0 running, 0 dead letters" in screen.stdout
    assert [(q["queue"], q["ready"]) for q in told["queues"]] == [("mail", 1)]
    assert told["counts"]["ready"] == 1
    assert told["running"] == told["workers"] == []


def test_at_a_terminal_it_renews_itself_fits_another_size_and_ends_by_q(
    terminal: Open, command: Run
) -> None:
    seen = terminal("top", "--every", "0.3", NO_COLOR="1")
    seen.shows("0 ready")
    command("defer", "send", "order_id=7")
    seen.shows("1 ready")
    seen.shown = ""
    seen.resize(30, 50)
    seen.shows("1 ready")

    seen.types(b"q")

    assert seen.ends() == 0
    assert "\x1b[31m" not in seen.shown
    assert "Traceback" not in seen.shown


def test_ctrl_c_ends_it_with_130_and_gives_the_screen_back(terminal: Open) -> None:
    seen = terminal("top")
    seen.shows("0 ready")

    seen.types(CTRL_C)

    assert seen.ends() == 130
    assert "\x1b[?1049l" in seen.shown
