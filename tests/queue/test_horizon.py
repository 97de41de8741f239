"""Who holds the vacuum horizon: named, with its pid, and warned of once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.waiting import until

from taskhub import Hub, db, embedded
from taskhub.queue import horizon, sql
from taskhub.queue.horizon import Holder, hold, holders, warn_if_due
from taskhub.settings import Settings

Connection = psycopg.Connection[Any]


@contextmanager
def connected(hub: Hub, name: str = "shop", *, autocommit: bool = False) -> Iterator[Connection]:
    with psycopg.connect(
        db.conninfo(hub.url), application_name=name, autocommit=autocommit
    ) as connection:
        yield connection


@pytest.fixture
def reader(hub: Hub) -> Iterator[Connection]:
    """A report that was begun and forgotten."""
    with connected(hub, "report") as opened:
        opened.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        opened.execute("SELECT 'Frau Muster', 12345 FROM taskhub.procrastinate_jobs")
        yield opened


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon, "HELD_SECONDS", 0.0)
    monkeypatch.setattr(horizon, "DEAD_ROWS", 0)


def churn(hub: Hub) -> None:
    """Leave dead rows, and make the server count them."""
    with connected(hub, autocommit=True) as connection:
        for _ in range(3):
            connection.execute(
                """
                INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args)
                SELECT 'q', 't', '{}' FROM generate_series(1, 200)
                """
            )
            connection.execute("DELETE FROM taskhub.procrastinate_jobs")
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")


def dead_rows(hub: Hub) -> int:
    return int(hub.read("count_dead_rows")[0]["dead_rows"])


def test_nothing_is_named_where_nothing_is_open(hub: Hub) -> None:
    assert holders(hub) == []
    assert hold(hub) is None


def test_a_reader_with_an_old_snapshot_is_named_without_its_values(
    hub: Hub, reader: Connection
) -> None:
    [found] = holders(hub)

    assert (found.kind, found.pid, found.name) == ("session", reader.info.backend_pid, "report")
    assert found.state == "idle in transaction"
    assert found.seconds is not None
    assert found.query == "SELECT ?, ? FROM taskhub.procrastinate_jobs"
    assert found.remedy == f"SELECT pg_terminate_backend({reader.info.backend_pid})"


def test_a_writer_that_is_idle_in_its_transaction_is_named(hub: Hub) -> None:
    with connected(hub, "importer") as writer:
        writer.execute("CREATE TABLE imported (id int)")
        [found] = holders(hub)

        assert (found.pid, found.name) == (writer.info.backend_pid, "importer")


def test_the_oldest_hold_comes_first(hub: Hub, reader: Connection) -> None:
    churn(hub)
    with connected(hub, "importer") as writer:
        writer.execute("CREATE TABLE imported (id int)")

        assert [h.name for h in holders(hub)] == ["report", "importer"]
        assert [h.name for h in holders(hub, limit=1)] == ["report"]


def test_a_session_of_another_database_does_not_matter(hub: Hub, server: str) -> None:
    with psycopg.connect(db.conninfo(db.address(server))) as elsewhere:
        elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        elsewhere.execute("SELECT count(*) FROM pg_class")

        assert holders(hub) == []


def test_a_prepared_transaction_is_named_with_what_ends_it(tmp_path: Path) -> None:
    with embedded.scratch(tmp_path, max_prepared_transactions="2") as url:
        hub = Hub(settings=Settings(database_url=url))
        with connected(hub, autocommit=True) as writer:
            writer.execute("BEGIN")
            writer.execute("CREATE TABLE t (id int)")
            writer.execute("PREPARE TRANSACTION 'it''s mine'")
            [found] = holders(hub)
            writer.execute(found.remedy)
            left = holders(hub)
        hub.close()

    assert (found.kind, found.pid, found.name) == ("prepared transaction", None, "it's mine")
    assert left == []


def test_a_replication_slot_that_holds_rows_is_named(tmp_path: Path) -> None:
    with embedded.scratch(tmp_path) as url:
        hub = Hub(settings=Settings(database_url=url))
        slot = Holder(
            kind="replication slot", pid=None, name="old", state="inactive", since=None,
            xmin_age=horizon.HELD_TRANSACTIONS, query=None,
        )  # fmt: skip
        with connected(hub, autocommit=True) as connection:
            connection.execute("SELECT pg_create_physical_replication_slot('old')")
            assert holders(hub) == []  # it holds nothing until a standby with feedback used it
            connection.execute(slot.remedy)
        hub.close()

    assert slot.is_old
    assert slot.told() == "replication slot 'old', inactive, 1000000 transactions back"


@pytest.mark.usefixtures("_short")
def test_a_hold_matters_only_while_dead_rows_pile_up(
    hub: Hub, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    churn(hub)
    until(lambda: dead_rows(hub) >= 600, "the count of the dead rows")

    monkeypatch.setattr(horizon, "DEAD_ROWS", 600)
    found = hold(hub)

    assert found is not None
    assert found.holder.pid == reader.info.backend_pid
    assert str(found).startswith(
        f"vacuum cannot remove {found.dead_rows} dead rows, held by session"
    )
    monkeypatch.setattr(horizon, "DEAD_ROWS", 1_000_000)
    assert hold(hub) is None


def test_a_young_hold_does_not_matter(
    hub: Hub, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "DEAD_ROWS", 0)

    assert hold(hub) is None


def let_pass(hub: Hub, seconds: float) -> None:
    with connected(hub, autocommit=True) as connection:
        connection.execute(
            "UPDATE taskhub.upkeep SET last_at = last_at - make_interval(secs => %s)", [seconds]
        )


@pytest.mark.usefixtures("_short")
def test_a_hold_is_warned_of_once_and_again_when_it_lasts(
    hub: Hub, reader: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    looks = [warn_if_due(hub), warn_if_due(hub)]
    let_pass(hub, 61)
    looks.append(warn_if_due(hub))
    let_pass(hub, 900)
    looks.append(warn_if_due(hub))

    assert [look is not None for look in looks] == [True, False, False, True]
    assert [record.message for record in caplog.records] == ["the vacuum horizon is held"] * 2
    assert vars(caplog.records[0])["pid"] == reader.info.backend_pid


def test_only_one_worker_of_the_fleet_looks_in_a_minute(
    hub: Hub, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert warn_if_due(hub) is None
    monkeypatch.setattr(horizon, "HELD_SECONDS", 0.0)
    monkeypatch.setattr(horizon, "DEAD_ROWS", 0)

    assert warn_if_due(hub) is None
    let_pass(hub, 61)
    assert warn_if_due(hub) is not None


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT 1", "SELECT ?"),
        (
            "SELECT * FROM a1 WHERE b = 'it''s' AND c = 1.5e3",
            "SELECT * FROM a1 WHERE b = ? AND c = ?",
        ),
        (r"SELECT E'a\'b', $1", "SELECT ?, $?"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ("DO $x$ secret $x$", "DO ?"),
        ("SELECT\n  a,\n  b", "SELECT a, b"),
        ("", None),
        (None, None),
    ],
)
def test_a_statement_is_shown_without_its_values(query: str | None, shown: str | None) -> None:
    assert horizon.without_values(query) == shown


def test_a_long_statement_is_cut() -> None:
    assert horizon.without_values("SELECT " + "a, " * 100) == f"{('SELECT ' + 'a, ' * 100)[:80]}…"


def test_a_role_without_rights_still_learns_the_pid(hub: Hub, reader: Connection) -> None:
    with connected(hub, autocommit=True) as operator:
        operator.execute("CREATE ROLE onlooker")
        operator.execute("SET ROLE onlooker")
        found = operator.execute(sql.load("horizon_holders", "taskhub"), {"limit": 5}).fetchall()
        operator.execute("RESET ROLE")
        operator.execute("DROP ROLE onlooker")

    assert [(row[1], row[2], row[4], row[6]) for row in found] == [
        (reader.info.backend_pid, "report", None, None)
    ]
