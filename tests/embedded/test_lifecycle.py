import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from taskhub import embedded
from taskhub.embedded import server
from taskhub.embedded.place import place
from taskhub.settings import Settings

ASK_FOR_URL = """
import sys
from pathlib import Path
from taskhub import embedded
from taskhub.settings import Settings
print(embedded.url(Settings(home=Path(sys.argv[1]), embedded_idle_minutes=0)))
"""


def ask_in_another_process(settings: Settings) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", ASK_FOR_URL, str(settings.home)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def postmaster_pid(settings: Settings) -> int:
    seen = server.look(place(settings))
    assert seen is not None
    return seen.pid


def one_value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_the_first_start_makes_the_cluster_and_its_database(fresh: Settings) -> None:
    url = embedded.url(fresh)

    assert one_value(url, "SELECT current_user || '@' || current_database()") == "taskhub@taskhub"
    assert one_value(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
    assert one_value(url, "SHOW server_encoding") == "UTF8"
    assert one_value(url, "SHOW data_checksums") == "on"
    assert (
        one_value(url, "SELECT datlocale FROM pg_database WHERE datname = 'taskhub'") == "C.UTF-8"
    )


def test_a_server_that_runs_is_used_again(running: Settings) -> None:
    before = postmaster_pid(running)

    embedded.url(running)
    embedded.start(running)

    assert postmaster_pid(running) == before


def test_asking_for_the_url_need_not_start_anything(fresh: Settings) -> None:
    url = embedded.url(fresh, start=False)

    assert not embedded.is_running(fresh)
    assert not embedded.home(fresh).exists()
    assert url == server.url(place(fresh).sockets)


def test_a_stopped_server_starts_again_with_its_rows(running: Settings) -> None:
    with psycopg.connect(embedded.url(running)) as connection:
        connection.execute("CREATE TABLE warm AS SELECT 7 AS n")
    assert embedded.stop(running)

    url = embedded.url(running)

    assert one_value(url, "SELECT n FROM warm") == 7


def test_stop_says_whether_there_was_a_server(running: Settings) -> None:
    assert embedded.is_running(running)

    stopped, stopped_again = embedded.stop(running), embedded.stop(running)

    assert (stopped, stopped_again) == (True, False)
    assert not embedded.is_running(running)


def test_processes_that_start_at_once_get_one_server(fresh: Settings) -> None:
    processes = [ask_in_another_process(fresh) for _ in range(4)]
    urls = {process.communicate()[0].strip() for process in processes}

    assert [process.returncode for process in processes] == [0] * 4
    assert urls == {embedded.url(fresh)}


def test_committed_rows_survive_kill_9_of_the_postmaster(
    running: Settings, eventually: Callable[..., None]
) -> None:
    with psycopg.connect(embedded.url(running)) as connection:
        connection.execute("CREATE TABLE survivors AS SELECT generate_series(1, 1000) AS n")
        connection.commit()
        os.kill(postmaster_pid(running), signal.SIGKILL)
        eventually(lambda: not embedded.is_running(running))

        url = embedded.url(running)

    assert one_value(url, "SELECT count(*) FROM survivors") == 1000


def test_a_busy_backend_that_outlives_its_postmaster_does_not_hold_up_the_next(
    running: Settings, eventually: Callable[..., None]
) -> None:
    psql: list[str | Path] = [embedded.bin_dir() / "psql", "-X", "-d", embedded.url(running)]
    busy = subprocess.Popen(
        [*psql, "-c", "SELECT count(*) FROM generate_series(1, 1000000000)"],
        stderr=subprocess.DEVNULL,
    )
    asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%(1, 1000000000)'"
    eventually(lambda: one_value(embedded.url(running), asking) == 1)
    os.kill(postmaster_pid(running), signal.SIGKILL)
    eventually(lambda: not embedded.is_running(running))

    url = embedded.url(running)

    assert one_value(url, "SELECT 1") == 1
    assert busy.wait(10) != 0


def test_a_stale_pid_file_whose_pid_is_another_process_now_is_seen_through(
    running: Settings,
) -> None:
    pid_file = embedded.home(running) / "postmaster.pid"
    text = pid_file.read_text()
    account = place(running).account
    embedded.stop(running)
    # A process of the server's own account: for any other one Postgres would know by itself.
    stranger = subprocess.Popen(["sleep", "60"], user=account.uid if os.geteuid() == 0 else None)
    pid_file.write_text(text.replace(text.splitlines()[0], str(stranger.pid), 1))
    os.chown(pid_file, account.uid, account.gid)

    try:
        assert not embedded.is_running(running)
        assert not embedded.stop(running)
        url = embedded.url(running)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()

    assert one_value(url, "SELECT 1") == 1


def test_a_socket_that_a_cleaner_took_away_comes_back(running: Settings) -> None:
    (place(running).sockets / ".s.PGSQL.5432").unlink()

    url = embedded.url(running)

    assert one_value(url, "SELECT 1") == 1


def test_kill_9_during_initdb_leaves_nothing_half_made(
    fresh: Settings, eventually: Callable[..., None]
) -> None:
    data = embedded.home(fresh)
    process = ask_in_another_process(fresh)
    eventually(lambda: any(data.parent.glob("pg18.new-*/base")))
    process.kill()
    process.communicate()
    assert not data.exists()

    url = embedded.url(fresh)

    assert one_value(url, "SELECT 1") == 1


def test_a_failed_start_shows_the_end_of_the_log(running: Settings) -> None:
    conf = embedded.home(running) / "postgresql.conf"
    text = conf.read_text()
    embedded.stop(running)
    conf.write_text(text + "no_such_setting = 1\n")

    try:
        with pytest.raises(embedded.EmbeddedFailed, match="did not start") as failure:
            embedded.start(running)
    finally:
        conf.write_text(text)

    assert "no_such_setting" in failure.value.log_tail
    assert str(failure.value.log_path) in str(failure.value)


def test_reset_deletes_the_cluster_and_leaves_what_is_beside_it(fresh: Settings) -> None:
    embedded.start(fresh)
    beside = embedded.home(fresh).parent / "other.txt"
    beside.write_text("mine")

    embedded.reset(fresh)

    assert not embedded.home(fresh).exists()
    assert not embedded.is_running(fresh)
    assert beside.read_text() == "mine"


def test_reset_of_nothing_is_nothing(fresh: Settings) -> None:
    embedded.reset(fresh)

    assert not embedded.home(fresh).parent.exists()


@pytest.mark.parametrize("files", [["thesis.txt"], ["PG_VERSION", "postgresql.conf"]])
def test_reset_refuses_a_directory_that_is_no_cluster_of_ours(
    fresh: Settings, files: list[str]
) -> None:
    data = embedded.home(fresh)
    data.mkdir(parents=True)
    for name in files:
        (data / name).write_text("18\n" if name == "PG_VERSION" else "#cluster_name = 'taskhub'\n")

    with pytest.raises(embedded.EmbeddedFailed, match="must be a cluster that taskhub made"):
        embedded.reset(fresh)
    with pytest.raises(embedded.EmbeddedFailed, match="TASKHUB_HOME"):
        embedded.start(fresh)

    assert sorted(path.name for path in data.iterdir()) == sorted(files)


@pytest.mark.parametrize("directory", ["pg18", "pg17"])
def test_a_cluster_of_another_major_is_refused(fresh: Settings, directory: str) -> None:
    data = embedded.home(fresh).with_name(directory)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")

    with pytest.raises(embedded.EmbeddedFailed, match=r"by postgres 17 .*pg_dump.*pg_restore"):
        embedded.start(fresh)


def test_the_cluster_lies_in_the_nearest_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "project" / "src"
    inner.mkdir(parents=True)
    (folder / "project" / "pyproject.toml").touch()
    monkeypatch.chdir(inner)

    home = embedded.home(Settings())

    assert home == folder / "project" / ".taskhub" / "pg18"
