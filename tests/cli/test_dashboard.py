"""`taskhub dashboard users`: who may log in."""

import json
import os
import subprocess
import sys

import pytest

from taskhub import Hub
from taskhub.dashboard import users
from taskhub.queue import insight
from tests.cli.conftest import Run


def test_users_are_added_listed_and_removed_with_a_row_of_the_audit(
    command: Run, hub: Hub, database: str
) -> None:
    added = subprocess.run(
        [sys.executable, "-m", "taskhub", "dashboard", "users", "add", "ada", "--role", "operate",
         "--password-stdin"],
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        input="correct horse battery\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    listed = command("dashboard", "users", "ls", "-o", "json")
    kept = command("dashboard", "users", "rm", "ada")
    removed = command("dashboard", "users", "rm", "ada", "--yes")
    again = command("dashboard", "users", "rm", "ada", "--yes")

    assert added.returncode == 0, added.stderr
    assert [(u["name"], u["role"]) for u in json.loads(listed.stdout)] == [("ada", "operate")]
    assert (kept.returncode, removed.returncode, again.returncode) == (9, 0, 1)
    assert users.every(hub) == []
    noted = [(row.action, row.target["name"]) for row in insight.audit(hub)]
    assert noted == [("dashboard users rm", "ada"), ("dashboard users add", "ada")]


@pytest.mark.parametrize("words", [("add", "ada")])
def test_a_user_without_a_password_is_refused(command: Run, words: tuple[str, ...]) -> None:
    assert command("dashboard", "users", *words).returncode == 2
