"""Promise 1: a job deferred in a transaction exists if and only if that transaction commits."""

from typing import Any

import psycopg

from taskhub import db
from tests.promises.conftest import Start, line


def count(url: str, table: str) -> int:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        row: Any = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0])


def test_killed_between_the_domain_write_and_the_commit_leaves_neither(
    shop: str, start: Start
) -> None:
    process = start("order")
    assert line(process) == "written"

    process.kill()
    process.wait()

    assert count(shop, "orders") == 0
    assert count(shop, "taskhub.procrastinate_jobs") == 0


def test_killed_right_after_the_commit_leaves_both(shop: str, start: Start) -> None:
    process = start("order")
    assert line(process) == "written"
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert line(process) == "committed"

    process.kill()
    process.wait()

    assert count(shop, "orders") == 1
    assert count(shop, "taskhub.procrastinate_jobs") == 1
