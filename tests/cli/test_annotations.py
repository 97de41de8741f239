"""Annotations, apps and clean-ups as a person or a script runs them."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def kb_command(command: Run) -> Run:
    """`taskhub …` with the built-in hub and an embedder that needs no model."""

    def run(*arguments: str, **variables: str) -> "CompletedProcess[str]":
        chosen = {"TASKHUB_APP": "taskhub.app:hub", "TASKHUB_EMBEDDER": "hash"}
        return command(*arguments, **chosen, **variables)

    return run


def told(done: "CompletedProcess[str]") -> Any:
    return json.loads(done.stdout)


def test_a_file_is_imported_enabled_matched_and_cleaned_away(
    kb_command: Run, project: Path
) -> None:
    (project / "faq.csv").write_text("question,answer\nWhere is the key?,Behind the clock.\nbad\n")
    kb_command("app", "create", "helpdesk")

    imported = kb_command("annotation", "import", "faq.csv", "--app-name", "helpdesk", "-o", "json")
    kb_command("annotation", "enable", "--app-name", "helpdesk", "--threshold", "0.8")
    kb_command("worker", "--burst")

    assert imported.returncode == 7
    assert told(imported)["rows"] == 2
    assert "line 3: row must have a question and an answer, got 1 column" in imported.stderr
    asked = ("annotation", "match", "where is the key", "--app-name", "helpdesk", "-o", "json")
    assert told(kb_command(*asked))["answer"] == "Behind the clock."
    far = kb_command("annotation", "match", "Who feeds the otters?", "--app-name", "helpdesk")
    assert far.returncode == 1
    report = kb_command("annotation", "report", "1", "-o", "json")
    assert "faq.csv: finished; 1 of 2 rows imported, 0 wait, 1 bad" in report.stderr
    [app] = told(kb_command("app", "ls", "-o", "json"))
    assert (app["annotations"], app["reply"], app["threshold"]) == (1, True, 0.8)
    dry = told(kb_command("app", "rm", "helpdesk", "--dry-run", "-o", "json"))
    refused = kb_command("app", "rm", "helpdesk")
    gone = kb_command("app", "rm", "helpdesk", "--yes")
    kb_command("worker", "--burst")
    assert (dry["apps"], dry["annotation_vectors"]) == (1, 1)
    assert (refused.returncode, gone.returncode) == (9, 0)
    assert told(kb_command("app", "ls", "-o", "json")) == []
    assert kb_command("clean", "orphans", "--dry-run", "-o", "json").stderr == "nothing to clean\n"


def test_an_annotation_is_added_set_listed_and_removed(kb_command: Run) -> None:
    kb_command("app", "create", "helpdesk")
    on = ("--app-name", "helpdesk", "-o", "json")
    first = told(kb_command("annotation", "add", "Where is the key?", "Behind the clock.", *on))

    kb_command("annotation", "set", str(first["id"]), "--answer", "Under the mat.", "--off")
    [listed] = told(kb_command("annotation", "ls", *on))
    nothing = kb_command("annotation", "set", str(first["id"]))
    too_long = kb_command("annotation", "add", "q" * 2001, "a", *on)
    dry = told(kb_command("annotation", "rm", str(first["id"]), "--dry-run", *on))
    removed = kb_command("annotation", "rm", str(first["id"]), "99", "--yes", *on)
    kb_command("worker", "--burst")

    assert (listed["answer"], listed["enabled"]) == ("Under the mat.", False)
    assert nothing.returncode == 2
    assert too_long.returncode == 1
    assert "question must be at most 2000 characters, got 2001" in too_long.stderr
    assert dry["annotations"] == 1
    assert (removed.returncode, told(removed)["deleted"]) == (7, 1)
    assert "not there: 99" in removed.stderr
    assert told(kb_command("annotation", "ls", *on)) == []
    assert kb_command("annotation", "disable", *on).returncode == 0


def test_a_clean_up_is_counted_refused_without_yes_and_done_with_it(
    kb_command: Run, project: Path
) -> None:
    (project / "faq.csv").write_text("Where is the key?,Behind the clock.\n")
    kb_command("app", "create", "helpdesk")
    kb_command("annotation", "import", "faq.csv", "--app-name", "helpdesk")
    kb_command("annotation", "enable", "--app-name", "helpdesk")
    kb_command("worker", "--burst")

    young = kb_command("clean", "cache", "--days", "1", "--dry-run", "-o", "json")
    without = kb_command("clean", "messages")
    unused = kb_command("clean", "unused", "--days", "1", "--yes", "-o", "json")

    assert (told(young), young.stderr) == ({}, "nothing to clean\n")
    assert without.returncode == 2
    assert "set message_days" in without.stderr
    assert told(unused) == {}
