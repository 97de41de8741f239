"""A backup is whole or is none, is proven by restoring it, and comes up paused."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import URL

from taskhub import Backoff, Hub, db
from taskhub.queue import insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.scheduler import Scheduler
from taskhub.settings import Settings
from taskhub.system.backup import dump, manifest, tools
from taskhub.system.backup.decide import Decision, decide
from taskhub.system.backup.manifest import BadBackup
from taskhub.system.backup.restore import NotEmpty, StillWorking, restore
from taskhub.system.backup.tasks import backup_check, db_backup
from taskhub.system.backup.verify import verify
from taskhub.system.blueprint import system
from tests.waiting import until

Fresh = Callable[[], Hub]


class Shop:
    """A hub with two queues, whose jobs say what they did."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.sent: list[int] = []

        @hub.task(name="send", queue="mail", retry=Backoff(max_attempts=3))
        def send(order_id: int) -> None:
            self.sent.append(order_id)

        @hub.task(name="index", queue="indexing", lock="document:{document_id}")
        def index(document_id: int) -> None:
            self.sent.append(document_id)

        self.send, self.index = send, index


@pytest.fixture
def shop(hub: Hub) -> Shop:
    return Shop(hub)


@pytest.fixture
def empty(empty_database: str) -> Iterator[Shop]:
    """The same program on a database in which nothing is yet."""
    hub = Hub(settings=Settings(database_url=empty_database, poll_seconds=0.2, lease_seconds=10))
    yield Shop(hub)
    hub.close()


def _rows(url: str | URL, query: str, *parameters: object) -> list[tuple[object, ...]]:
    address = url if isinstance(url, URL) else db.address(url)
    with psycopg.connect(db.conninfo(address), autocommit=True) as connection:
        return connection.execute(query, parameters or None).fetchall()


def _backup(shop: Shop, folder: Path) -> Path:
    target = folder / "shop.taskhub"
    dump.backup(shop.hub.url, shop.hub.settings, target)
    return target


def test_what_a_backup_holds_is_what_a_scratch_database_holds_after_it(
    shop: Shop, tmp_path: Path
) -> None:
    shop.send.defer_many([{"order_id": n} for n in range(500)])
    shop.hub.run_worker(queues=["mail"], wait=False)
    shop.index.defer(7)
    told: list[tuple[str, int, int]] = []

    target = tmp_path / "shop.taskhub"
    made = dump.backup(shop.hub.url, shop.hub.settings, target, lambda *a: told.append(a))
    found = verify(shop.hub.url, target)

    assert found.differences == ()
    assert found.rows == made.rows > 500
    assert [(u.queue, u.task, u.jobs) for u in made.unfinished] == [("indexing", "index", 1)]
    assert {what.split()[0] for what, _, _ in told} == {"counting", "writing"}
    assert all(0 <= done < of for _, done, of in told)
    mine = f"SELECT datname FROM pg_database WHERE datname LIKE 'taskhub_verify_{os.getpid()}_%'"
    names = _rows(shop.hub.url, mine)
    assert names == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shop.taskhub", "shop.taskhub.json"]
    assert target.stat().st_mode & 0o077 == 0


def test_a_table_that_changed_behind_the_manifest_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.send.defer(1)
    target = _backup(shop, tmp_path)
    told = json.loads(manifest.beside(target).read_text())
    told["tables"]["taskhub.procrastinate_jobs"]["checksum"] = "5"
    told["tables"]["taskhub.rules"]["rows"] = 3
    told["tables"]["taskhub.gone"] = {"rows": 1, "checksum": "0"}
    manifest.beside(target).write_text(json.dumps(told))

    found = verify(shop.hub.url, target)

    assert set(found.differences) == {
        "taskhub.procrastinate_jobs has other values in its 1 rows",
        "taskhub.rules has 0 rows and not 3",
        "taskhub.gone is missing",
    }


def test_a_damaged_file_is_refused_before_anything_is_touched(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    shop.send.defer(1)
    target = _backup(shop, tmp_path)
    whole = target.read_bytes()

    target.write_bytes(whole[:-10])
    with pytest.raises(BadBackup, match="it is cut short"):
        restore(empty.hub.url, empty.hub.settings, target)
    target.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadBackup, match="was changed since"):
        restore(empty.hub.url, empty.hub.settings, target)
    manifest.beside(target).unlink()
    with pytest.raises(
        BadBackup, match=r"a backup is two files, shop.taskhub and shop.taskhub.json"
    ):
        restore(empty.hub.url, empty.hub.settings, target)

    assert (
        _rows(empty.hub.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'taskhub%'") == []
    )


def test_a_failed_dump_leaves_no_file(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _backup(shop, tmp_path)
    before = target.read_bytes()
    broken = tmp_path / "bin"
    broken.mkdir()
    real = tools.find(_server_version(shop)).folder
    for name in tools.NAMES:
        (broken / name).symlink_to(real / name)
    (broken / "pg_dump").unlink()
    (broken / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump: error: no space left' >&2\nexit 1\n")
    (broken / "pg_dump").chmod(0o755)
    monkeypatch.setattr(tools, "find", lambda _: tools.Tools(broken, 18))

    with pytest.raises(tools.ToolFailed, match="pg_dump failed: pg_dump: error: no space left"):
        dump.backup(shop.hub.url, shop.hub.settings, target)

    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "shop.taskhub", "shop.taskhub.json",
    ]  # fmt: skip


def test_a_restored_hub_is_paused_until_somebody_decides(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    shop.send.defer_many([{"order_id": n} for n in range(3)])
    shop.index.defer(7)
    shop.hub.pause(queue="indexing", reason="the disk is full")
    target = _backup(shop, tmp_path)

    done = restore(empty.hub.url, empty.hub.settings, target)
    empty.hub.run_worker(wait=False)

    assert empty.sent == []
    assert done.queues == ("mail",)  # the other one keeps its own reason
    assert [(u.queue, u.task, u.status, u.jobs) for u in done.unfinished] == [
        ("indexing", "index", "todo", 1),
        ("mail", "send", "todo", 3),
    ]
    reasons = {limit.name: limit.reason for limit in empty.hub.limits()}
    assert reasons["queue:indexing"] == "the disk is full"
    assert (reasons["queue:mail"] or "").startswith("restored from the backup of 20")

    decide(empty.hub, "mail", Decision.HOLD, reason="x")
    empty.hub.run_worker(wait=False)
    assert empty.sent == []
    decide(empty.hub, "mail", Decision.RUN, reason="x")
    empty.hub.run_worker(wait=False)
    assert sorted(empty.sent) == [0, 1, 2]


def test_discarded_jobs_are_cancelled_with_the_reason_and_the_queue_runs_on(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    ids = [shop.send.defer(n).id for n in range(3)]
    done = restore(empty.hub.url, empty.hub.settings, _backup(shop, tmp_path))

    cancelled = decide(empty.hub, "mail", Decision.DISCARD, reason=f"discarded: {done.reason}")
    empty.send.defer(100)
    empty.hub.run_worker(wait=False)

    assert cancelled == 3
    assert empty.sent == [100]
    told = insight.job(empty.hub, ids[0])
    assert told.status == "cancelled"
    assert "discarded: restored from the backup" in (told.history[-1].error_message or "")


def test_a_job_that_ran_at_the_backup_waits_again_as_lost(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    target = tmp_path / "shop.taskhub"

    @shop.hub.task(name="back_up", queue="mail")
    def back_up() -> None:
        dump.backup(shop.hub.url, shop.hub.settings, target)

    job_id = back_up.defer().id
    shop.hub.run_worker(wait=False)

    done = restore(empty.hub.url, empty.hub.settings, target)

    assert [(u.task, u.status, u.jobs) for u in done.unfinished] == [("back_up", "todo", 1)]
    told = insight.job(empty.hub, job_id)
    assert [a.outcome for a in told.history] == ["lost"]
    assert told.history[0].error_message == f"{done.reason}; lost 1 of 5 times"
    assert [worker.state for worker in insight.workers(empty.hub)] == ["lost"]


def test_ids_that_were_given_out_after_the_backup_are_never_given_out_again(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    shop.send.defer(1)
    target = _backup(shop, tmp_path)
    later = [shop.send.defer(n).id for n in range(20)]

    restore(empty.hub.url, empty.hub.settings, target)
    restore(shop.hub.url, shop.hub.settings, target, replace=True, skipped_ids=0)

    assert empty.send.defer(2).id > max(later) + 900_000
    # Here the hub that was put aside tells how far its ids went.
    assert shop.send.defer(2).id == max(later) + 1
    keys = "SELECT id FROM taskhub.hub"
    assert _rows(empty.hub.url, keys) == _rows(shop.hub.url, keys)


def test_a_copy_beside_the_original_gets_another_identity(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    restore(empty.hub.url, empty.hub.settings, _backup(shop, tmp_path), new_identity=True)

    keys = "SELECT id FROM taskhub.hub"
    assert _rows(empty.hub.url, keys) != _rows(shop.hub.url, keys)


def test_schedules_do_not_make_up_for_the_time_since_the_backup(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    for one in (shop, empty):

        @one.hub.cron("0 * * * *", catch_up="all", name="hourly", queue="ticks")
        def hourly() -> None: ...

    with Scheduler(shop.hub).connect() as connection:
        Scheduler(shop.hub).round(connection)
    _rows(shop.hub.url, "UPDATE taskhub.crons SET mark = now() - interval '1 day' RETURNING mark")
    restore(empty.hub.url, empty.hub.settings, _backup(shop, tmp_path))

    with Scheduler(empty.hub).connect() as connection:
        Scheduler(empty.hub).round(connection)

    # At the hour itself there is one; a day of them has passed since the mark of the backup.
    assert len(insight.jobs(empty.hub, JobFilter())) <= 1


def test_a_hub_that_is_there_is_renamed_and_never_deleted(shop: Shop, tmp_path: Path) -> None:
    shop.send.defer(1)
    target = _backup(shop, tmp_path)
    shop.send.defer(2)

    with pytest.raises(NotEmpty, match="--replace, which renames what is there"):
        restore(shop.hub.url, shop.hub.settings, target)
    done = restore(shop.hub.url, shop.hub.settings, target, replace=True)

    assert _rows(shop.hub.url, "SELECT count(*) FROM taskhub.procrastinate_jobs") == [(1,)]
    [aside] = [name for name in done.aside if name.startswith("taskhub_until")]
    assert _rows(shop.hub.url, f"SELECT count(*) FROM {aside}.procrastinate_jobs") == [(2,)]


def test_nothing_is_put_aside_under_a_living_worker(shop: Shop, tmp_path: Path) -> None:
    target = _backup(shop, tmp_path)
    seen: list[str] = []

    @shop.hub.task(name="try_it", queue="mail")
    def try_it() -> None:
        with pytest.raises(StillWorking, match="1 workers live on this database"):
            restore(shop.hub.url, shop.hub.settings, target, replace=True)
        seen.append("refused")

    try_it.defer()
    shop.hub.run_worker(wait=False)

    assert seen == ["refused"]
    until(lambda: insight.workers(shop.hub) == [], "the worker leaves")


def test_a_restore_that_fails_half_way_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.send.defer(1)
    target = _backup(shop, tmp_path)
    shop.send.defer(2)
    with psycopg.connect(db.conninfo(shop.hub.url), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no triggers today'; END $$"
        )
        connection.execute(
            "CREATE EVENT TRIGGER refusing ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') "
            "EXECUTE FUNCTION refuse()"
        )

    with pytest.raises(tools.ToolFailed, match="no triggers today"):
        restore(shop.hub.url, shop.hub.settings, target, replace=True)

    assert _rows(shop.hub.url, "SELECT count(*) FROM taskhub.procrastinate_jobs") == [(2,)]
    names = _rows(shop.hub.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%until%'")
    assert names == []


def test_only_the_newest_backups_of_a_folder_are_kept(shop: Shop, tmp_path: Path) -> None:
    for day in range(1, 5):
        name = f"taskhub-2026110{day}T000000Z.taskhub"
        dump.backup(shop.hub.url, shop.hub.settings, tmp_path / name)
    (tmp_path / "before-upgrade.taskhub").write_text("another name is nobody's to delete")

    gone = dump.keep_newest(tmp_path, 2)

    assert [p.name for p in gone] == [
        "taskhub-20261101T000000Z.taskhub", "taskhub-20261102T000000Z.taskhub",
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "before-upgrade.taskhub",
        "taskhub-20261103T000000Z.taskhub", "taskhub-20261103T000000Z.taskhub.json",
        "taskhub-20261104T000000Z.taskhub", "taskhub-20261104T000000Z.taskhub.json",
    ]  # fmt: skip


def test_no_program_that_fits_the_server_is_told_with_what_to_install() -> None:
    with pytest.raises(tools.NoTools, match="install postgresql-client-99"):
        tools.find(990001)


def test_the_password_is_never_on_a_command_line(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.Popen

    def watch(arguments: list[str], **options: object) -> object:
        seen.extend(arguments)
        return real(arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", watch)
    url = shop.hub.url.set(password="hush:secret")  # noqa: S106 - trust is what the server asks for
    dump.backup(url, shop.hub.settings, tmp_path / "x.taskhub")

    assert shutil.which("pg_dump") is None or any("pg_dump" in word for word in seen)
    assert not any("hush" in word for word in seen)


def _server_version(shop: Shop) -> int:
    with psycopg.connect(db.conninfo(shop.hub.url)) as connection:
        return connection.info.server_version


def test_the_scheduled_backup_is_checked_and_old_ones_go(database: str, tmp_path: Path) -> None:
    settings = Settings(
        database_url=database, poll_seconds=0.2, backup_directory=tmp_path, backup_keep=1
    )
    hub = Hub(settings=settings)
    hub.add(system)
    (tmp_path / "taskhub-20200101T000000Z.taskhub").write_text("old")
    try:
        made = db_backup.options(autocommit=True).defer()
        hub.run_worker(wait=False)
        checked = backup_check.options(autocommit=True).defer()
        hub.run_worker(wait=False)

        told, proven = insight.job(hub, made.id), insight.job(hub, checked.id)
        assert (told.status, told.result["deleted"]) == ("succeeded", 1)
        assert (proven.status, proven.result["file"]) == ("succeeded", told.result["file"])
        Path(told.result["file"]).write_bytes(b"")
        broken = backup_check.options(autocommit=True).defer()
        hub.run_worker(wait=False)
        assert "it is cut short" in (insight.job(hub, broken.id).history[-1].error_message or "")
    finally:
        hub.close()
