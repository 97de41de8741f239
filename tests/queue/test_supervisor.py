"""The supervisor, with processes that are no workers: what ends them, and what follows."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import waiting

PARENT = """
    import logging, sys
    from taskhub.queue.retries import Backoff
    from taskhub.queue import supervisor

    logging.basicConfig(level="INFO", format="%(message)s %(worker)s %(killed_by)s %(exit_code)s")
    logging.getLogger().handlers[0].formatter._style._defaults = {"killed_by": "", "exit_code": ""}
    supervisor.RESTART = Backoff(first_seconds=0.05, ceiling_seconds=0.1)
    supervisor.SOUND_SECONDS = float(sys.argv[2])
    command = [sys.executable, "-c", sys.argv[1]]
    commands = {"a": [*command, "a"], "b": [*command, "b"]}
    made = supervisor.Supervisor(commands, burst="burst" in sys.argv, hopeless=frozenset({3}))
    sys.exit(made.run())
"""
# Notes its pid under its name, and what it is told to do: a drain is a line in a file.
CHILD = """
    import os, signal, sys, time
    from pathlib import Path

    def note(what):
        with open(sys.argv[1] + ".log", "a") as log:
            log.write(f"{what} {os.getpid()}\\n")

    def drain(number, frame):
        note(signal.Signals(number).name)
        global told
        told += 1

    told = 0
    signal.signal(signal.SIGTERM, drain)
"""
DRAIN_AT_THE_FIRST = "note('started')\nwhile told < 1: time.sleep(0.01)\n"
DRAIN_AT_THE_SECOND = "note('started')\nwhile told < 2: time.sleep(0.01)\n"

PATIENCE_SECONDS = 60.0  # an interpreter that loads taskhub may take long where all cores are busy

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor of two children, `a` and `b`, that do what `body` says."""
    started: list[subprocess.Popen[str]] = []

    def run(body: str, *options: str, sound_seconds: float = 60) -> "subprocess.Popen[str]":
        child = textwrap.dedent(CHILD) + body
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PARENT), child, str(sound_seconds), *options],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
    for pid in [*pids(tmp_path, "a"), *pids(tmp_path, "b")]:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    for process in started:
        process.communicate()  # it ends only when no child holds the pipe any more


def until(condition: Callable[[], object], what: str) -> None:
    waiting.until(condition, what, seconds=PATIENCE_SECONDS)


def log(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.log"
    return path.read_text().splitlines() if path.exists() else []


def pids(folder: Path, name: str) -> list[int]:
    return [int(line.split()[1]) for line in log(folder, name) if line.startswith("started")]


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def both_started(folder: Path) -> None:
    until(lambda: pids(folder, "a") and pids(folder, "b"), "starting both")


def told_of(process: "subprocess.Popen[str]") -> str:
    return process.communicate(timeout=PATIENCE_SECONDS)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_all_and_the_code_is_0(
    tmp_path: Path, start: Start, number: signal.Signals
) -> None:
    parent = start(DRAIN_AT_THE_FIRST)
    both_started(tmp_path)

    parent.send_signal(number)

    assert parent.wait(timeout=PATIENCE_SECONDS) == 0
    for name in ("a", "b"):
        assert [line.split()[0] for line in log(tmp_path, name)] == ["started", "SIGTERM"]


def test_a_second_signal_is_passed_on_too(tmp_path: Path, start: Start) -> None:
    parent = start(DRAIN_AT_THE_SECOND)
    both_started(tmp_path)
    parent.terminate()
    until(lambda: len(log(tmp_path, "a")) == len(log(tmp_path, "b")) == 2, "the first signal")
    assert parent.poll() is None

    parent.terminate()

    assert parent.wait(timeout=PATIENCE_SECONDS) == 0
    assert len(log(tmp_path, "a")) == len(log(tmp_path, "b")) == 3


def test_a_third_signal_kills_what_does_not_listen(tmp_path: Path, start: Start) -> None:
    parent = start("note('started')\nwhile True: time.sleep(0.01)\n")
    both_started(tmp_path)
    for lines in (2, 3):
        parent.terminate()
        until(
            lambda n=lines: len(log(tmp_path, "a")) == len(log(tmp_path, "b")) == n,  # type: ignore[misc]  # mypy knows no default in a lambda
            "the signal",
        )

    parent.terminate()

    assert "worker did not drain a SIGKILL" in told_of(parent)
    assert parent.returncode == 1


def test_a_killed_child_is_told_of_and_comes_back(tmp_path: Path, start: Start) -> None:
    parent = start(DRAIN_AT_THE_FIRST)
    both_started(tmp_path)

    os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)

    until(lambda: len(pids(tmp_path, "a")) == 2, "starting again")
    parent.terminate()
    assert "worker died and is started again a SIGKILL" in told_of(parent)
    assert parent.returncode == 0
    assert len(pids(tmp_path, "b")) == 1


def test_a_child_that_ended_well_by_itself_comes_back(tmp_path: Path, start: Start) -> None:
    parent = start(DRAIN_AT_THE_FIRST)
    both_started(tmp_path)

    os.kill(pids(tmp_path, "a")[0], signal.SIGTERM)

    until(lambda: len(pids(tmp_path, "a")) == 2, "starting again")
    parent.terminate()
    assert "worker ended and is started again a  0" in told_of(parent)
    assert parent.returncode == 0


def test_a_burst_ends_when_all_have_ended_well(tmp_path: Path, start: Start) -> None:
    parent = start(
        "note('started')\nsys.exit(0 if len(open(sys.argv[1] + '.log').readlines()) > 2 else 4)",
        "burst",
    )

    told = told_of(parent)

    assert parent.returncode == 0
    assert told.count("worker died and is started again") == 4
    assert len(pids(tmp_path, "a")) == len(pids(tmp_path, "b")) == 3


def test_a_child_that_can_never_start_ends_all_with_its_code(tmp_path: Path, start: Start) -> None:
    parent = start(f"if sys.argv[1] == 'b': sys.exit(3)\n{DRAIN_AT_THE_FIRST}")

    told = told_of(parent)

    assert parent.returncode == 3
    assert "worker cannot start, all are stopped b  3" in told
    assert not any(is_alive(pid) for pid in pids(tmp_path, "a"))


def test_a_child_that_was_sound_is_started_again_whatever_its_code(
    tmp_path: Path, start: Start
) -> None:
    fails_twice = "if len(open(sys.argv[1] + '.log').readlines()) < 3: sys.exit(3)\n"
    parent = start(f"note('started')\n{fails_twice}{DRAIN_AT_THE_FIRST}", sound_seconds=0)

    until(lambda: len(pids(tmp_path, "a")) > 3 < len(pids(tmp_path, "b")), "the third start")

    parent.terminate()
    assert parent.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_child_that_fails_while_it_drains_makes_the_code_1(tmp_path: Path, start: Start) -> None:
    parent = start(f"{DRAIN_AT_THE_FIRST}sys.exit(9)\n")
    both_started(tmp_path)

    parent.terminate()

    assert "worker did not drain" in told_of(parent)
    assert parent.returncode == 1


def test_a_signal_while_a_child_waits_for_its_restart_ends_all(
    tmp_path: Path, start: Start
) -> None:
    parent = start("note('started')\nsys.exit(4)\n")
    until(lambda: len(pids(tmp_path, "a")) > 2, "the third start")

    parent.terminate()

    assert parent.wait(timeout=PATIENCE_SECONDS) in (0, 1)  # 1 where one was just about to fail


@pytest.mark.parametrize("watch", ["pass", "supervisor._kernel_watches = lambda: False"])
def test_children_end_when_their_parent_is_killed(tmp_path: Path, start: Start, watch: str) -> None:
    watched = (
        f"from taskhub.queue import supervisor\n{watch}\nsupervisor.WATCH_SECONDS = 0.05\n"
        "supervisor.end_with(os.getppid())\n"
    )
    parent = start(watched + DRAIN_AT_THE_FIRST)
    both_started(tmp_path)

    parent.kill()

    for name in ("a", "b"):
        # Two ways tell of it, and both may.
        until(lambda n=name: len(log(tmp_path, n)) >= 2, "draining")  # type: ignore[misc]  # as above
        until(lambda n=name: not is_alive(pids(tmp_path, n)[0]), "ending")  # type: ignore[misc]  # as above


def test_a_child_whose_parent_is_gone_before_it_asks_ends_too(tmp_path: Path) -> None:
    orphan = "from taskhub.queue import supervisor\nsupervisor.end_with(1)\nprint('lives on')"

    ended = subprocess.run([sys.executable, "-c", orphan], capture_output=True, check=False)

    assert ended.returncode == -signal.SIGTERM
    assert ended.stdout == b""
