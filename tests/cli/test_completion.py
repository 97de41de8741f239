"""Tab in a shell: verbs, options, and names out of the database, or silence."""

import shutil
import socket
import subprocess
import time

import pytest

from taskhub.cli.live_names import within_patience
from tests.cli.conftest import Run


def completed(process: Run, *words: str, **variables: str) -> list[str]:
    """What bash is offered for the last of these words."""
    asked = {
        "_TASKHUB_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("taskhub", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = process(**asked, **variables)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine half a second is nothing; the limit has a test of its own."""
    monkeypatch.setattr("taskhub.cli.live_names.PATIENCE_SECONDS", 20.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("sta",), ["status", "stats"]),
        (("ls", "--stat"), ["--status"]),
        (("ls", "--status", "su"), ["succeeded"]),
        (("ls", "-q", ""), ["mail"]),
        (("ls", "-q", "x"), []),
        (("pause", "m"), ["mail"]),
        (("retry-failed", "--task", "se"), ["send"]),
        (("pause", "--key", ""), ["tenant:7"]),
        (("limits", "rm", "ten"), ["tenant:7"]),
    ],
    ids=" ".join,
)
def test_names_are_completed(command: Run, words: tuple[str, ...], offered: list[str]) -> None:
    command("defer", "send", "order_id=7")
    command("limits", "set", "tenant:7", "--at-most", "2")

    assert completed(command, *words) == offered


@pytest.mark.usefixtures("patient")
def test_datasets_and_schedules_are_completed(command: Run) -> None:
    command("dataset", "create", "handbook", "-A", "taskhub.app:hub")

    assert completed(command, "document", "ls", "--dataset", "h") == ["handbook"]
    assert completed(command, "dataset", "clean", "") == ["handbook"]
    assert completed(command, "cron", "run", "") == []


def test_a_database_that_is_away_is_nothing_to_talk_of(command: Run) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/x"

    assert completed(command, "ls", "-q", "", TASKHUB_DATABASE_URL=nobody) == []
    assert completed(command, "ls", "-q", "", TASKHUB_DATABASE_URL="") == []
    assert completed(command, "ls", "-q", "", TASKHUB_CONCURRENCY="many") == []


def test_a_database_that_does_not_answer_is_given_up_soon(command: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()

        offered = completed(
            command, "ls", "-q", "",
            TASKHUB_DATABASE_URL=f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x",
        )  # fmt: skip

    assert offered == []
    assert time.monotonic() - began < 8  # the driver would wait for ten


def test_an_answer_in_time_is_given_and_an_error_is_none() -> None:
    assert within_patience(lambda: ["mail"], 20) == ["mail"]
    assert within_patience(lambda: [str(1 / 0)], 20) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_understands(command: Run, shell: str) -> None:
    script = command("completion", shell).stdout

    assert "_TASKHUB_COMPLETE" in script
    if (found := shutil.which(shell)) is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["stauts"], "did you mean stats or status?"),
        (["cron", "puase", "x"], "pause"),
        (["ls", "--quue", "mail"], "--queue"),
        (
            ["ls", "--json"],
            "no such option '--json', it is `-o json` here; see `taskhub ls --help`",
        ),
        (["--dsn", "postgresql://x/y", "ls"], "it is `--database-url` here"),
        (["ls", "-q", "mial"], "no queue 'mial' is known; did you mean mail?"),
        (["retry-failed", "--task", "sned"], "no task 'sned' is known; did you mean send?"),
    ],
)
def test_what_was_mistyped_is_told_with_what_was_meant(
    command: Run, arguments: list[str], hint: str
) -> None:
    command("defer", "send", "order_id=7")

    assert hint in command(*arguments).stderr
