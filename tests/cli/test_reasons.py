"""What changes much asks first, can be tried, and says why it was done."""

import json

import click
import pytest

from taskhub.cli import taskhub
from taskhub.cli.reference import commands
from tests.cli.conftest import Run

ALL = {" ".join(words[1:]): command for words, command in commands(taskhub, ("taskhub",))}
# These replace or delete the database itself, and the audit with it.
OF_THE_DATABASE = {"db downgrade", "db reset", "db restore"}


def options(command: click.Command) -> set[str]:
    return {name for p in command.params if isinstance(p, click.Option) for name in p.opts}


@pytest.mark.parametrize("name", [n for n, c in ALL.items() if "--yes" in options(c)])
def test_a_verb_that_asks_takes_a_reason_too(name: str) -> None:
    assert name in OF_THE_DATABASE or "--reason" in options(ALL[name])


@pytest.mark.parametrize(
    "name",
    [
        "retry-failed", "cancel", "prune", "rescue", "drain", "document index",
        "cron rm", "dataset clean", "dataset set-model",
        "dataset rebuild", "document rm", "document retry", "document sync", "document update",
        "segment rm", "annotation rm", "app rm", "clean unused", "clean cache", "clean messages",
        "clean orphans", "mail resend",
    ],
)  # fmt: skip
def test_a_verb_that_changes_much_can_be_tried_first(name: str) -> None:
    assert {"--dry-run", "--yes", "--reason"} <= options(ALL[name])


def test_a_dataset_goes_when_somebody_confirms_and_the_audit_has_the_reason(command: Run) -> None:
    built_in = ("-A", "taskhub.app:hub")
    command("dataset", "create", "handbook", *built_in)
    words = ("dataset", "clean", "handbook", *built_in)

    tried = command(*words, "--dry-run")
    refused = command(*words)
    kept = command("dataset", "ls", "-o", "ids", *built_in)
    done = command(*words, "--yes", "--reason", "it was a test", "-o", "json")
    rows = json.loads(command("audit", "-o", "json").stdout)

    assert (tried.returncode, refused.returncode, done.returncode) == (0, 9, 0)
    assert "nothing was changed" in refused.stderr
    assert kept.stdout == "1\n"
    assert [(r["action"], r["source"], r["reason"], r["outcome"]) for r in rows] == [
        ("dataset clean", "cli", "it was a test", "done")
    ]
    assert rows[0]["target"]["name"] == "handbook"


def test_what_is_switched_or_encrypted_anew_is_in_the_audit_too(
    command: Run,
) -> None:
    built_in = ("-A", "taskhub.app:hub")
    why = ("--reason", "a try")
    key = json.loads(command("secrets", "new-key", "a", "-o", "json").stdout)["key"]
    command("app", "create", "helpdesk", *built_in)

    switched = command("segment", "disable", "7", *why, *built_in)
    for verb in (("enable", "--model", "hash"), ("disable",)):
        done = command("annotation", *verb, "--app-name", "helpdesk", *why, *built_in)
        assert done.returncode == 0, done.stderr
    for words in (("set", "queue:mail", "--at-most", "2"), ("rm", "queue:mail")):
        assert command("limits", *words, *why).returncode == 0
    rotated = command("secrets", "rotate", *why, TASKHUB_SECRET_KEYS=key)
    rows = json.loads(command("audit", "-o", "json").stdout)

    assert (switched.returncode, rotated.returncode) == (7, 0)
    assert [(r["action"], r["reason"], r["changed"]) for r in reversed(rows)] == [
        ("segment disable", "a try", 0),
        ("annotation enable", "a try", None),
        ("annotation disable", "a try", None),
        ("limits set", "a try", None),
        ("limits rm", "a try", None),
        ("secrets rotate", "a try", 0),
    ]


def test_a_downgrade_that_is_tried_names_the_tables_and_keeps_them(command: Run) -> None:
    command("dataset", "create", "handbook", "-A", "taskhub.app:hub")

    tried = command("db", "downgrade", "kb@base", "--dry-run", "-o", "json")
    refused = command("db", "downgrade", "kb@base")
    kept = command("dataset", "ls", "-o", "ids", "-A", "taskhub.app:hub")
    done = command("db", "downgrade", "kb@base", "--yes", "-o", "json")
    gone = command("dataset", "ls", "-A", "taskhub.app:hub")

    told = json.loads(tried.stdout)
    assert {"taskhub_kb.documents", "taskhub_kb.datasets"} <= set(told["dropped"])
    assert not [name for name in told["dropped"] if name.startswith("taskhub.")]
    assert (refused.returncode, kept.stdout) == (9, "1\n")
    assert json.loads(done.stdout) == {**told, "dry_run": False}
    assert gone.returncode == 5
