"""The doctor's checks of the server: each is made wrong once, and says what mends it."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text

from taskhub import Hub, db
from taskhub.settings import Settings
from taskhub.system import server
from taskhub.system.surroundings import Told
from tests.system.conftest import Watched, run
from tests.system.test_flow import worker


def sql(hub: Hub, *statements: str) -> None:
    with hub.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    "look",
    [
        server.rights, server.notifications, server.autovacuum, server.indexes, server.logged, server.slots,
        server.locale, server.worker_versions,
    ],
    ids=lambda look: look.__name__,
)  # fmt: skip
def test_a_migrated_database_is_well(hub: Hub, look: Callable[[Hub], Told]) -> None:
    state, told, remedy = look(hub)

    assert (state, remedy) == ("ok", ""), told


def test_the_indexes_that_are_looked_for_are_those_of_the_schema(hub: Hub) -> None:
    with hub.engine.connect() as connection:
        there = set(
            connection.scalars(
                text(
                    "SELECT indexname FROM pg_indexes WHERE schemaname = 'taskhub' AND indexname ~ '^jobs_'"
                )
            )
        )

    assert there == {name for name in server.HOT_INDEXES if name.startswith("jobs_")}


@pytest.mark.parametrize(
    ("look", "breaks", "state", "remedy"),
    [
        (server.indexes, "DROP INDEX taskhub.jobs_ready", "fail", "make it anew"),
        (
            server.indexes,
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'taskhub.jobs_due'::regclass",
            "fail",
            "REINDEX INDEX CONCURRENTLY taskhub.jobs_due",
        ),
        (
            server.logged,
            "ALTER TABLE taskhub.lock_notes SET UNLOGGED",
            "fail",
            "ALTER TABLE taskhub.lock_notes SET LOGGED",
        ),
        (
            server.autovacuum,
            "ALTER TABLE taskhub.attempts_p0 SET (autovacuum_enabled = false)",
            "fail",
            "RESET (autovacuum_enabled)",
        ),
        (
            server.locale,
            "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()",
            "warn",
            "REFRESH COLLATION VERSION",
        ),
    ],
    ids=["missing", "invalid", "unlogged", "no autovacuum", "collation"],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_mends_it(
    hub: Hub, look: Callable[[Hub], Told], breaks: str, state: str, remedy: str
) -> None:
    if "attempts_p0" in breaks:
        with hub.engine.connect() as connection:
            part = connection.scalar(
                text(
                    "SELECT inhrelid::regclass::text FROM pg_inherits "
                    "WHERE inhparent = 'taskhub.attempts'::regclass LIMIT 1"
                )
            )
        breaks = breaks.replace("taskhub.attempts_p0", str(part))
    sql(hub, breaks)

    found, _, mends = look(hub)

    assert found == state
    assert remedy in mends


@pytest.fixture
def guest(hub: Hub) -> Iterator[Hub]:
    """A hub of a role that may look at the schema and no more."""
    name = hub.url.database
    role = f"guest_{name}"
    sql(hub, f'CREATE ROLE "{role}" LOGIN', f'GRANT USAGE ON SCHEMA taskhub TO "{role}"')
    url = hub.url.set(username=role).render_as_string(hide_password=False)
    made = Hub(settings=Settings(database_url=url))
    yield made
    made.close()
    sql(hub, f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


def test_a_role_that_may_not_work_is_told_which_grant_it_lacks(hub: Hub, guest: Hub) -> None:
    state, told, remedy = server.rights(guest)
    assert state == "fail"
    assert "may not do what a worker does" in told

    sql(hub, *remedy.split("; "))

    assert server.rights(guest)[0] == "ok"
    assert "does not migrate" in server.rights(guest)[1]


def test_an_idle_slot_that_keeps_what_it_does_not_read_is_named(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = f"slot_{hub.url.database}"[:60]
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        try:
            monkeypatch.setattr(server, "MOST_KEPT_BYTES", -1)
            state, told, remedy = server.slots(hub)
        finally:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])

    assert state == "warn"
    assert "MiB of WAL" in told
    assert "pg_drop_replication_slot(" in remedy


def test_a_channel_that_nobody_passes_on_is_heard_of(
    hub: Hub, server_of_another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    monkeypatch.setattr(server, "HEARING_SECONDS", 0.1)
    deaf = Hub(settings=dataclasses.replace(hub.settings, listen_url=server_of_another))

    state, told, remedy = server.notifications(deaf)
    deaf.close()

    assert state == "warn"
    assert "did not come back" in told
    assert "listen_url" in remedy


@pytest.fixture
def server_of_another(empty_database: str) -> str:
    """Another database: what is notified here is not heard there, as behind a pooler."""
    return empty_database


def test_a_rollout_that_is_half_done_is_told_with_whom_to_drain(hub: Hub) -> None:
    old, new = worker(hub), worker(hub)
    sql(hub, f"UPDATE taskhub.workers SET version = '2' WHERE id = {new}")

    state, told, remedy = server.worker_versions(hub)

    assert (state, told) == ("warn", "live workers are of versions 1, 2")
    assert remedy == f"end the rollout: taskhub drain {old}"


def test_a_monitor_that_does_not_look_is_told(watched: Watched) -> None:
    hub = watched()
    assert server.monitor(hub)[0] == "warn"

    run(hub, "queue_monitor")

    assert server.monitor(hub)[0] == "ok"
    assert server.monitor(watched(monitor_cron=""))[2] == "unset monitor_cron"
