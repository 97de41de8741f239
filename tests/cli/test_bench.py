"""`taskhub bench` on a real database."""

import json

import psycopg

from taskhub import db
from tests.cli.conftest import Run


def test_it_measures_and_leaves_nothing_behind(command: Run, database: str) -> None:
    command("defer", "send", "order_id=7")

    ended = command("bench", "--jobs", "100", "-o", "json")

    found = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert found["jobs"] == 100
    for name, value in found.items():
        if name.endswith(("_ms", "_per_second")):
            assert value > 0, name
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        left = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'taskhub%bench%'"
        ).fetchall()
        waiting = connection.execute("SELECT count(*) FROM taskhub.procrastinate_jobs").fetchone()
    assert left == []
    assert waiting == (1,)
