"""Promise 1: a job deferred in a transaction exists if and only if that transaction commits."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from taskhub import Hub, Task, db
from taskhub.queue import copy
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


# The same for every way in: one by one, by COPY, and from SQL alone.

FEW, MANY = range(3), range(copy.FEWEST_JOBS + 100)


@pytest.fixture
def hub(shop: str) -> Iterator[Hub]:
    """A hub of this process on the shop's database."""
    made = Hub(shop)
    yield made
    made.close()


@pytest.fixture
def ship(hub: Hub) -> Task[[int], None]:
    @hub.task(name="ship", queue="shop")
    def ship(order_id: int) -> None: ...

    return ship


@pytest.mark.parametrize("orders", [FEW, MANY])
def test_what_a_savepoint_rolls_back_takes_its_jobs_along_and_no_others(
    shop: str, hub: Hub, ship: Task[[int], None], orders: range
) -> None:
    with hub.transaction() as session:
        ship.defer_many({"order_id": n} for n in orders)
        savepoint = session.begin_nested()
        ship.defer_many({"order_id": n} for n in orders)
        ship.defer(1)
        session.execute(text("SELECT taskhub.defer_job('ship', '{\"order_id\": 1}')"))
        savepoint.rollback()
        session.execute(text("SELECT taskhub.defer_job('ship', '{\"order_id\": 1}')"))

    assert count(shop, "taskhub.procrastinate_jobs") == len(orders) + 1


@pytest.mark.parametrize("orders", [FEW, MANY])
def test_nobody_sees_a_job_before_its_transaction_commits(
    shop: str, hub: Hub, ship: Task[[int], None], orders: range
) -> None:
    with hub.transaction():
        ship.defer_many({"order_id": n} for n in orders)
        seen_before = count(shop, "taskhub.procrastinate_jobs")

    assert seen_before == 0
    assert count(shop, "taskhub.procrastinate_jobs") == len(orders)


def test_many_jobs_of_which_the_database_refuses_one_leave_none_and_no_write_beside_them(
    shop: str, hub: Hub, ship: Task[[int], None]
) -> None:
    with psycopg.connect(db.conninfo(db.address(shop))) as connection:
        connection.execute(
            "ALTER TABLE taskhub.procrastinate_jobs ADD CHECK ((args ->> 'order_id')::int <> 200)"
        )

    with pytest.raises(Exception, match="check constraint"), hub.transaction() as session:
        session.execute(text("INSERT INTO orders (id) VALUES (1)"))
        ship.defer_many({"order_id": n} for n in MANY)

    assert count(shop, "orders") == 0
    assert count(shop, "taskhub.procrastinate_jobs") == 0
