"""Every verb that lists or tells writes it as a table, JSON, lines of JSON, tabs and ids."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

BUILT_IN = ("-A", "taskhub.app:hub")
LISTS = (
    ("ls",), ("queues",), ("queues", "--fair-keys", "mail"), ("workers", "--stopped"), ("doctor",),
    ("stats",), ("alerts", "ls"), ("alerts", "rules"), ("alerts", "test"), ("cron", "ls"), ("cron", "next"),
    ("limits",),
    ("secrets", "status"), ("dashboard", "users", "ls"), ("config", "show"), ("audit",),
    ("retry", "1"), ("cancel", "1"), ("drain", "--all", "--dry-run"), ("rescue", "--dry-run"),
)  # fmt: skip
OF_THE_KB = (
    ("dataset", "ls"), ("document", "ls", "--dataset", "handbook"), ("segment", "ls", "1"), ("app", "ls"),
    ("annotation", "ls", "--app-name", "helpdesk"), ("mail", "ls"),
    ("document", "search", "fire", "--dataset", "handbook"),
    ("document", "rm", "1", "--dry-run"), ("segment", "rm", "1", "--dry-run"),
)  # fmt: skip
THINGS = (
    ("status",), ("top", "--once"), ("show", "1"), ("why", "1"), ("version",),
    ("retry-failed", "--dry-run"), ("cancel", "--filter", "queue:mail", "--dry-run"), ("prune", "--dry-run"),
)  # fmt: skip


@pytest.fixture
def worked(command: Run) -> Run:
    """A database in which one job failed and another one waits."""
    command("defer", "send", "order_id=13")
    command("worker", "--burst")
    command("defer", "send", "order_id=7")
    return command


@pytest.fixture
def filled(command: Run, project: Path) -> Run:
    """A knowledge base with a document, an app and an annotation."""
    (project / "fire.txt").write_text("The fire extinguisher hangs behind the door.")
    command("dataset", "create", "handbook", *BUILT_IN)
    command("document", "add", "fire.txt", "--dataset", "handbook", *BUILT_IN)
    command("worker", "--burst", *BUILT_IN)
    command("app", "create", "helpdesk", "--dataset", "handbook", *BUILT_IN)
    command(
        "annotation", "add", "Where is it?", "Behind the door.", "--app-name", "helpdesk", *BUILT_IN
    )
    return command


def listed_in_all_formats(command: Run, *words: str) -> None:
    told = {kind: command(*words, "-o", kind) for kind in ("table", "json", "jsonl", "tsv", "ids")}
    for ended in told.values():
        assert ended.returncode in (0, 7, 8), ended.stderr
        assert "Traceback" not in ended.stderr
    rows = json.loads(told["json"].stdout)
    assert isinstance(rows, list)
    lines = [json.loads(line) for line in told["jsonl"].stdout.splitlines()]
    assert [set(line) for line in lines] == [set(row) for row in rows]
    head, *table = csv.reader(
        told["tsv"].stdout.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    assert len(table) == len(rows)
    assert {len(line) for line in table} <= {len(head)}
    assert all(set(head) <= set(row) for row in rows)
    assert len(told["ids"].stdout.splitlines()) == len(rows)
    assert "\t" not in told["table"].stdout
    assert len(told["table"].stdout.splitlines()) == 1 + len(rows)


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_verb_that_lists_has_every_format(worked: Run, words: tuple[str, ...]) -> None:
    listed_in_all_formats(worked, *words)


def test_the_lists_of_the_knowledge_base_have_every_format(filled: Run) -> None:
    for words in OF_THE_KB:
        listed_in_all_formats(filled, *words, *BUILT_IN)


@pytest.mark.parametrize("words", THINGS, ids=" ".join)
def test_a_verb_that_tells_of_one_thing_has_every_format(
    worked: Run, words: tuple[str, ...]
) -> None:
    told = {kind: worked(*words, "-o", kind) for kind in ("table", "json", "jsonl", "tsv", "ids")}

    assert {ended.returncode for ended in told.values()} <= {0, 8}
    assert isinstance(json.loads(told["json"].stdout), dict)
    assert json.loads(told["jsonl"].stdout).keys() == json.loads(told["json"].stdout).keys()
    assert len(told["jsonl"].stdout.splitlines()) == len(told["ids"].stdout.splitlines()) == 1
    assert all("\t" in line for line in told["tsv"].stdout.splitlines())
    assert "\t" not in told["table"].stdout
