"""The demo's last line, checked against the database that it names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg

from taskhub import db

HANDBOOK = Path(__file__).parents[2] / "examples" / "handbook" / "policies"


def test_what_the_demo_says_stands_in_the_database(database: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "taskhub", "demo", str(HANDBOOK)],
        cwd=tmp_path,
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    with psycopg.connect(db.conninfo(db.address(told["database_url"]))) as connection:
        counted = connection.execute(
            "SELECT count(*), sum(segments_total) FROM taskhub_kb.documents WHERE dataset_id = %s",
            (told["dataset_id"],),
        ).fetchone()
        outcomes = connection.execute(
            "SELECT outcome::text FROM taskhub.attempts WHERE job_id = %s ORDER BY claim",
            (told["retried_job"],),
        ).fetchall()
    assert counted == (told["documents"], told["segments"])
    assert told["documents"] == len(list(HANDBOOK.iterdir()))
    assert outcomes == [("failed",), ("succeeded",)]
    assert told["mails"] == 2
    assert told["rolled_back"] == {"accounts": 0, "jobs": 0, "mails": 0}
    assert min(told["hits"].values()) > 0
    assert told["rows_before"]["segments"] > 0
    assert set(told["rows_after"].values()) == {0}


def test_a_folder_without_files_is_refused(database: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "taskhub", "demo", str(tmp_path / "nothing")],
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode != 0
    assert "error:" in ended.stderr
