"""`taskhub db backup`, `verify` and `restore` as they are typed."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def _json(output: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(output)
    return found


def test_a_backup_is_made_proven_and_restored_with_a_decision_a_queue(
    command: Run, project: Path
) -> None:
    command("defer", "send", "order_id=7")
    made = command("db", "backup", "shop.taskhub", "-o", "json")
    assert made.returncode == 0
    assert _json(made.stdout)["unfinished_jobs"] == 1
    assert "prove it with `taskhub db verify shop.taskhub`" in made.stderr

    proven = command("db", "verify", "shop.taskhub", "-o", "json")
    assert (proven.returncode, _json(proven.stdout)["differences"]) == (0, [])

    shown = command("db", "restore", "shop.taskhub", "--dry-run", "-o", "tsv")
    assert shown.stdout.splitlines()[1].startswith("mail\tsend\ttodo\t1\t")
    assert "nothing was changed" in shown.stderr

    refused = command("db", "restore", "shop.taskhub", "--yes")
    assert refused.returncode == 1
    assert "use --replace, which renames what is there" in refused.stderr

    nobody = command("db", "restore", "shop.taskhub", "--replace")
    assert nobody.returncode == 9

    held = command("db", "restore", "shop.taskhub", "--replace", "--yes")
    assert held.returncode == 0
    assert "queue mail is held; let it run with `taskhub resume --queue mail`" in held.stderr
    assert command("worker", "--burst").returncode == 0
    assert "todo" in command("show", "1").stdout

    dropped = command("db", "restore", "shop.taskhub", "--replace", "--yes", "--discard", "mail")
    assert "queue mail runs, 1 jobs were cancelled" in dropped.stderr
    assert "cancelled" in command("show", "1").stdout


def test_a_backup_that_differs_ends_with_exit_code_8(command: Run, project: Path) -> None:
    command("db", "backup", "shop.taskhub")
    path = project / "shop.taskhub.json"
    told = json.loads(path.read_text())
    told["tables"]["taskhub.hub"]["checksum"] = "1"
    path.write_text(json.dumps(told))

    found = command("db", "verify", "shop.taskhub")

    assert found.returncode == 8
    assert "taskhub.hub has other values in its 1 rows" in found.stderr


def test_only_a_folder_of_backups_loses_its_older_ones(command: Run, project: Path) -> None:
    (project / "kept").mkdir()
    old = project / "kept" / "taskhub-20200101T000000Z.taskhub"
    old.write_text("an old one")

    made = command("db", "backup", "--to", "kept", "--keep", "1", "-o", "json")

    assert _json(made.stdout)["deleted"] == 1
    assert not old.exists()
    assert command("db", "backup", "x.taskhub", "--keep", "1").returncode == 2
    assert command("db", "backup", str(_json(made.stdout)["file"])).returncode == 1


def test_a_file_that_is_no_backup_is_told_as_such(command: Run, project: Path) -> None:
    (project / "notes.txt").write_text("nothing")

    found = command("db", "restore", "notes.txt", "--dry-run")

    assert found.returncode == 1
    assert "a backup is two files, notes.txt and notes.txt.json" in found.stderr
