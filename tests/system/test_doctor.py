"""The doctor says what is wrong and what mends it, whatever of it is broken."""

import dataclasses

import pytest
from sqlalchemy import text

from taskhub import Hub, db
from taskhub.queue import horizon
from taskhub.settings import Settings
from taskhub.system import refresh, surroundings
from taskhub.system.doctor import Check, examine
from tests.mail.server import Server
from tests.system.conftest import SECRET, Watched
from tests.waiting import until


def of(hub: Hub, name: str, **options: bool) -> Check:
    return next(check for check in examine(hub, **options) if check.check == name)


def test_a_queue_without_a_worker_fails_with_the_command_that_mends_it(watched: Watched) -> None:
    hub = watched(alert_lonely_seconds=0)
    assert of(hub, "queue_without_worker").state == "ok"

    hub.tasks["work"].defer()

    check = of(hub, "queue_without_worker")
    assert (check.state, check.remedy) == ("fail", "taskhub worker --queue shop")
    assert of(hub, "workers").remedy == "taskhub worker"


def test_a_database_that_is_away_is_one_failed_check() -> None:
    hub = Hub("postgresql://nobody@127.0.0.1:1/none", settings=Settings())

    checks = [c for c in examine(hub) if c.check != "settings"]

    assert [(c.check, c.state) for c in checks] == [("database", "fail")]
    assert "not reached" in checks[0].text
    hub.close()


def test_an_empty_database_wants_to_be_migrated(empty_database: str) -> None:
    hub = Hub(empty_database, settings=Settings())

    last = list(examine(hub))[-1]

    assert (last.check, last.state, last.remedy) == ("schema", "fail", "taskhub db migrate")
    hub.close()


def test_a_hub_without_a_knowledge_base_is_warned_and_does_not_fail(watched: Watched) -> None:
    hub = watched()
    with hub.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA taskhub_kb CASCADE"))
        connection.execute(text("DROP EXTENSION vector CASCADE"))
        connection.execute(text("DELETE FROM taskhub.taskhub_version WHERE version_num = '0021'"))

    checks = {c.check: c.state for c in examine(hub)}

    assert checks["schema"] == checks["vectors"] == "warn"
    assert "fail" not in checks.values()


def test_a_misspelt_setting_is_named_with_what_was_meant(hub: Hub) -> None:
    [check] = surroundings.settings(hub, {"TASKHUB_CONCURENCY": "3", "TASKHUB_SMTP_HOST": "h"})

    assert (check.state, check.text) == ("warn", "TASKHUB_CONCURENCY is set and is no setting")
    assert check.remedy == "unset it, or did you mean TASKHUB_CONCURRENCY?"


def test_more_connections_than_the_server_has_are_seen_before_they_fail(hub: Hub) -> None:
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                WITH new AS (
                    INSERT INTO taskhub.procrastinate_workers (last_heartbeat) VALUES (now()) RETURNING id
                )
                INSERT INTO taskhub.workers (id, name, host, pid, version, concurrency, lease_seconds, tasks)
                SELECT id, 'w', 'h', 1, '0', 5000, 30, '{}' FROM new
            """)
        )

    state, told, _ = surroundings.connections(hub)

    assert state == "warn"
    assert told.startswith("1 workers may open 5009")


def test_the_mail_server_is_asked_only_when_wanted(watched: Watched) -> None:
    server = Server()
    server.start()
    try:
        there = server.settings()
        hub = watched(smtp_host=there.smtp_host, smtp_port=there.smtp_port)
        names = {check.check for check in examine(hub)}
        up = of(hub, "smtp", smtp=True)
    finally:
        server.stop()
    down = of(hub, "smtp", smtp=True)

    assert "smtp" not in names
    assert (up.state, down.state) == ("ok", "fail")
    assert "ConnectionRefusedError" in down.text


def test_a_folder_of_backups_that_is_not_there_fails(watched: Watched, tmp_path: object) -> None:
    hub = watched(backup_directory=tmp_path / "no")  # type: ignore[operator]  # a Path

    assert of(hub, "disk").remedy == f"mkdir -p {tmp_path}/no"


def test_nobody_to_tell_is_a_warning(watched: Watched) -> None:
    assert of(watched(), "notices").state == "warn"
    told = watched(notice_webhook_url="https://example.com/", notice_webhook_secret=SECRET)
    assert of(told, "notices").text == "go to webhook"


def test_a_table_that_rots_is_vacuumed_and_one_that_is_locked_is_skipped(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = watched()
    monkeypatch.setattr(refresh, "ROWS", 100)
    with hub.engine.begin() as connection:
        connection.execute(text("ALTER TABLE taskhub_kb.notices SET (autovacuum_enabled = false)"))
        connection.execute(
            text("""
                INSERT INTO taskhub_kb.notices (kind, subject, lines)
                SELECT 'k', 's', '[]' FROM generate_series(1, 1000)
            """)
        )
    with hub.engine.begin() as connection:
        connection.execute(text("DELETE FROM taskhub_kb.notices WHERE id > 10"))
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    hub.engine.dispose()

    def dead() -> int:
        with hub.engine.connect() as connection:
            query = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'notices'"
            return int(connection.execute(text(query)).scalar_one())

    until(lambda: dead() >= 900, "the server's count")
    done = refresh.refresh(hub)

    assert done.vacuumed == ["taskhub_kb.notices"]
    until(lambda: dead() == 0, "the vacuum")
    assert refresh.refresh(hub).vacuumed == []


def test_no_vacuum_is_run_while_the_horizon_is_held(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = watched()
    monkeypatch.setattr(refresh, "ROWS", -1_000_000)
    monkeypatch.setattr(horizon, "HELD_SECONDS", 0.0)
    monkeypatch.setattr(horizon, "DEAD_ROWS", 0)
    holder = db.engine(hub.url, dataclasses.replace(hub.settings))
    with holder.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        connection.execute(text("SELECT count(*) FROM taskhub.procrastinate_jobs"))

        done = refresh.refresh(hub)
    holder.dispose()

    assert "pg_terminate_backend" in (done.held_by or "")
    assert done.vacuumed == []
    assert done.analysed
