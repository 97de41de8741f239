"""The verbs, run as a person or a script runs them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SHOP, Run
from tests.waiting import until


def test_a_job_goes_from_defer_to_its_result(command: Run) -> None:
    deferred = command("defer", "send", "order_id=7", "language=de", "-o", "json")
    job_id = str(json.loads(deferred.stdout)["id"])

    worked = command("worker", "--queue", "mail", "--burst")
    shown = json.loads(command("show", job_id, "-o", "json").stdout)

    assert worked.returncode == 0, worked.stderr
    assert shown["status"] == "succeeded"
    assert shown["result"] == "7 in de"
    assert shown["args"] == {"order_id": 7, "language": "de"}


def test_a_unique_key_is_said_with_defer_and_told_by_show(command: Run) -> None:
    asked = ("defer", "send", "order_id=7", "--unique", "order:{order_id}", "-o", "json")
    first, second = command(*asked), command(*asked)
    shown = command("show", str(json.loads(first.stdout)["id"]), "-o", "table")

    assert json.loads(first.stdout)["is_new"] is True
    assert json.loads(second.stdout) == json.loads(first.stdout) | {"is_new": False}
    assert "nothing was stored: job 1 has the unique key" in second.stderr
    assert "  unique_key order:7" in shown.stdout


def test_a_dead_letter_is_listed_refused_without_yes_and_brought_back_with_it(command: Run) -> None:
    command("defer", "send", "order_id=13")
    command("worker", "--burst")

    listed = json.loads(command("ls", "--status", "failed", "-o", "json").stdout)
    dry = command("retry-failed", "--queue", "mail", "--dry-run", "-o", "json")
    refused = command("retry-failed", "--queue", "mail")
    done = command("retry-failed", "--queue", "mail", "--error", "no such", "--yes", "-o", "json")

    assert [(j["task"], j["error_message"]) for j in listed] == [("send", "no such order")]
    assert json.loads(dry.stdout) == {"matched": 1, "retried": 0, "dry_run": True}
    assert refused.returncode == 9
    assert json.loads(done.stdout)["retried"] == 1
    assert json.loads(command("ls", "-o", "json").stdout)[0]["status"] == "todo"


def test_retry_and_cancel_tell_what_became_of_each_job(command: Run) -> None:
    job_id = command("defer", "send", "order_id=13", "-o", "ids").stdout.strip()
    command("worker", "--burst")

    assert command("retry", job_id).returncode == 0
    assert command("cancel", job_id, "--reason", "enough").returncode == 0
    again = command("cancel", job_id, "999", "-o", "json")

    assert again.returncode == 7
    assert [one["outcome"] for one in json.loads(again.stdout)] == ["ended already", "unknown"]


def test_a_queue_with_jobs_and_no_worker_is_loud(command: Run) -> None:
    command("defer", "send", "order_id=7")

    status = command("status", "-o", "json")

    assert status.returncode == 8
    assert "has no live worker" in json.loads(status.stdout)["warnings"][0]


def test_global_options_stand_before_or_after_the_verb(command: Run) -> None:
    before = command("-o", "json", "queues")
    after = command("queues", "-o", "json")

    assert before.stdout == after.stdout
    assert json.loads(before.stdout) == []


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        (["nosuch"], {}, 2, "nosuch"),
        (["defer", "sned", "order_id=7"], {}, 2, "did you mean send?"),
        (["defer", "send", "order=7"], {}, 2, "order"),
        (["defer", "send", "order_id=x"], {}, 2, "order_id must be int"),
        (["worker", "-A", "nosuch:hub", "--burst"], {}, 3, "No module named 'nosuch'"),
        (["worker", "-A", "shop:nosuch", "--burst"], {}, 3, "it has the hub hub"),
        (["ls"], {"TASKHUB_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, 4, "unreachable"),
        (["ls"], {"TASKHUB_DATABASE_URL": ""}, 4, "TASKHUB_DATABASE_URL=embedded"),
        (["show", "999"], {}, 1, "no job 999"),
        (["ls"], {"TASKHUB_CONCURRENCY": "many"}, 2, "concurrency must be of type int"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    command: Run, arguments: list[str], variables: dict[str, str], code: int, message: str
) -> None:
    ended = command(*arguments, **variables)

    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert ended.stdout == ""
    assert code == 3 or "Traceback" not in ended.stderr


def test_a_database_that_was_never_migrated_names_the_command(
    command: Run, empty_database: str
) -> None:
    ended = command("worker", "--burst", TASKHUB_DATABASE_URL=empty_database)
    check = command("db", "migrate", "--check", TASKHUB_DATABASE_URL=empty_database)
    migrated = command("db", "migrate", TASKHUB_DATABASE_URL=empty_database)
    checked = command("db", "migrate", "--check", TASKHUB_DATABASE_URL=empty_database)

    assert ended.returncode == check.returncode == 5
    assert "taskhub db migrate" in ended.stderr
    assert (migrated.returncode, checked.returncode) == (0, 0), migrated.stderr + checked.stderr


def test_a_worker_drains_at_sigterm(tmp_path: Path, database: str) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    worker = subprocess.Popen(
        [sys.executable, "-m", "taskhub", "worker", "-A", "shop:hub", "--log-format", "json"],
        cwd=tmp_path,
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    said = worker.stderr
    until(lambda: "worker started" in said.readline(), "the start")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=30) == 0
    assert "worker stopped" in said.read()
    said.close()


def test_version_loads_none_of_the_heavy_libraries(process: Run) -> None:
    ended = process("version", "-o", "json", PYTHONPROFILEIMPORTTIME="1")

    assert json.loads(ended.stdout)["procrastinate"].startswith("3.10")
    for heavy in ("numpy", "jinja2", "pypdfium2"):
        assert f" {heavy}\n" not in ended.stderr


def test_settings_are_shown_with_their_source_and_without_secrets(command: Run) -> None:
    shown = command("config", "show", "-o", "json", TASKHUB_SMTP_PASSWORD="geheim")  # noqa: S106 - a secret to look for
    rows = {row["name"]: row for row in json.loads(shown.stdout)}

    assert "geheim" not in shown.stdout
    assert rows["app"]["source"].endswith("taskhub.toml")
    assert rows["smtp_password"] == {
        "name": "smtp_password",
        "value": "***",
        "source": "environment",
    }


def test_a_dataset_is_filled_searched_and_cleaned(command: Run, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# Keys\n\nThe spare key of the cellar hangs behind the clock.\n"
    )
    (tmp_path / "docs" / "b.bin").write_bytes(b"\0\1\2")
    built_in = {"TASKHUB_APP": "taskhub.app:hub"}

    command("dataset", "create", "house", **built_in)
    added = command("document", "add", "docs", "--dataset", "house", "-o", "json", **built_in)
    command("worker", "--queue", "indexing", "--burst", **built_in)
    found = command(
        "document", "search", "Where is the key?", "--dataset", "house", "-o", "json", **built_in
    )
    narrowed = command(
        *("document", "search", "key", "--dataset", "house", "--meta", "year=2025"), **built_in
    )
    described = command("document", "describe", "1", "year=2025", "-o", "json", **built_in)
    fitting = command(
        *("document", "search", "key", "--dataset", "house", "--meta", "year=2025"), **built_in
    )
    unknown = command("document", "search", "key", "--dataset", "shed", **built_in)
    nobody = command("document", "search", "key", "--dataset", "house", "--tenant", "x", **built_in)
    misread = command(
        *("document", "search", "key", "--dataset", "house", "--meta", "year"), **built_in
    )
    dry = command("dataset", "clean", "house", "--dry-run", "-o", "json", **built_in)

    assert added.returncode == 7, added.stderr
    assert [row["state"] for row in json.loads(added.stdout)] == ["waiting", "error"]
    assert json.loads(found.stdout)[0]["document_name"] == "a.md", found.stderr
    assert (narrowed.returncode, narrowed.stdout.count("\n")) == (0, 1), narrowed.stderr
    assert json.loads(described.stdout)["metadata"] == {"year": 2025}, described.stderr
    assert "a.md" in fitting.stdout, fitting.stderr
    assert unknown.returncode == nobody.returncode == 1
    assert "dataset 'shed' of tenant 'default' does not exist" in unknown.stderr
    assert misread.returncode == 2
    assert "must look like KEY=VALUE, got 'year'" in misread.stderr
    assert json.loads(dry.stdout)["segments"] == 1
