"""The keys of secret arguments, from the command line."""

import json
from pathlib import Path

from tests.cli.conftest import Run

SAFE = """
from taskhub import Encrypted, Hub, Secret

hub = Hub()


@hub.task(name="log_in")
def log_in(password: Secret[str], pin: Encrypted[str]) -> None:
    raise ValueError(f"{password.reveal()} is refused")
"""


def test_a_key_is_made_used_rotated_and_retired(command: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SAFE)
    old = command("secrets", "new-key", "old", "-o", "json")
    new = command("secrets", "new-key", "new", "-o", "json")
    old_key, new_key = json.loads(old.stdout)["key"], json.loads(new.stdout)["key"]

    refused = command("defer", "log_in", "password=hunter2", "pin=90210123")
    with_old = {"TASKHUB_SECRET_KEYS": old_key}
    deferred = command("defer", "log_in", "password=hunter2", "pin=90210123", **with_old)
    both = {"TASKHUB_SECRET_KEYS": f"{new_key},{old_key}"}
    tried = command("secrets", "rotate", "--dry-run", "-o", "json", **both)
    rotated = command("secrets", "rotate", "-o", "json", **both)
    status = command("secrets", "status", "-o", "json", **both)
    worked = command("worker", "--burst", TASKHUB_SECRET_KEYS=new_key)
    shown = command("show", "1", "-o", "json")
    config = command("config", "show", **both)

    assert (refused.returncode, "taskhub secrets new-key" in refused.stderr) == (2, True)
    assert deferred.returncode == 0, deferred.stderr
    assert json.loads(tried.stdout) == {"rotated": 0, "left": 1}
    assert json.loads(rotated.stdout) == {"rotated": 1, "left": 0}
    assert [(row["key"], row["state"], row["waiting"]) for row in json.loads(status.stdout)] == [
        ("new", "first", 1),
        ("old", "known", 0),
    ]
    assert "*** is refused" in shown.stdout
    for said in (deferred, worked, shown, config):
        assert "hunter2" not in said.stdout + said.stderr
        assert "90210123" not in said.stdout + said.stderr
        assert old_key not in said.stdout + said.stderr


def test_a_rotation_that_leaves_jobs_says_so(command: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SAFE)
    old_key = json.loads(command("secrets", "new-key", "old", "-o", "json").stdout)["key"]
    new_key = json.loads(command("secrets", "new-key", "new", "-o", "json").stdout)["key"]
    command("defer", "log_in", "password=1234", "pin=1", TASKHUB_SECRET_KEYS=old_key)

    rotated = command("secrets", "rotate", "-o", "json", TASKHUB_SECRET_KEYS=new_key)

    assert rotated.returncode == 7
    assert json.loads(rotated.stdout) == {"rotated": 0, "left": 1}
    assert "left as they are: jobs 1" in rotated.stderr
