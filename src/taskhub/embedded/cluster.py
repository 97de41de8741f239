"""The files of a cluster: made whole or not at all, known as ours, deleted."""

import logging
import re
import secrets
import shutil
from pathlib import Path

from taskhub.embedded import binaries
from taskhub.embedded.account import make_private
from taskhub.embedded.failures import EmbeddedFailed
from taskhub.embedded.place import CLUSTER, Place

NAME = "taskhub"  # the superuser, the database and the cluster_name

SETTINGS = {
    # The mark by which a cluster is known as ours, and what `ps` shows.
    "cluster_name": NAME,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    # The role is called taskhub, and "$user" would put what people create unqualified into the
    # schema of that name, among the queue's own tables.
    "search_path": "public",
    "max_connections": "200",
    "min_wal_size": "128MB",
    # Recovery after a crash reads at most about this much.
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Nobody rotates the log while the server runs, so it says little.
    "log_checkpoints": "off",
}

logger = logging.getLogger(__name__)


def exists(place: Place) -> bool:
    """Whether the cluster is there.

    Raises:
        EmbeddedFailed: what is there is of another major version, not ours, or another account's.
    """
    try:
        version = (place.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        _refuse_strangers(place)
        return False
    except PermissionError:
        raise _of_another(place) from None
    if version != str(binaries.MAJOR):
        raise EmbeddedFailed(_dump_and_restore(place.data, version))
    if not is_ours(place.data):
        raise EmbeddedFailed(
            f"{place.data} holds a cluster that taskhub did not make; "
            "name another place with TASKHUB_HOME"
        )
    if place.data.stat().st_uid != place.account.uid:
        raise _of_another(place)
    return True


def is_ours(data: Path) -> bool:
    """Whether taskhub made the cluster in this directory."""
    try:
        conf = (data / "postgresql.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(rf"^cluster_name\s*=\s*'?{NAME}\b", conf, re.MULTILINE) is not None


def create(place: Place, *, durable: bool = True) -> None:
    """Run initdb and create the database; the directory appears under its name only when whole.

    Raises:
        EmbeddedFailed: initdb failed; the message has what it said.
    """
    logger.info("making a postgres cluster in %s", place.data)
    bin_dir = binaries.bin_dir_for(place.account)
    fresh = place.data.with_name(f"{CLUSTER}.new-{secrets.token_hex(4)}")
    try:
        make_private(fresh, place.account)
        _initdb(place, bin_dir, fresh, durable=durable)
        fresh.rename(place.data)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def delete(place: Place) -> None:
    """Delete a stopped cluster.

    Raises:
        EmbeddedFailed: the directory is not a cluster of ours; nothing was deleted.
    """
    if not place.data.exists():
        return
    if not (place.data / "PG_VERSION").is_file() or not is_ours(place.data):
        raise EmbeddedFailed(
            f"{place.data} must be a cluster that taskhub made, and it is not; "
            "look what is in it and remove it by hand"
        )
    # A kill in the middle leaves no half of a cluster under the name.
    doomed = place.data.with_name(f"{CLUSTER}.old-{secrets.token_hex(4)}")
    place.data.rename(doomed)
    shutil.rmtree(doomed)


def _initdb(place: Place, bin_dir: Path, fresh: Path, *, durable: bool) -> None:
    argv: list[str | Path] = [bin_dir / "initdb", "-D", fresh, "-U", NAME]
    argv += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
    argv += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    argv += [f"--set={name}={value}" for name, value in SETTINGS.items()]
    done = place.account.run(argv if durable else [*argv, "--no-sync"])
    if done.returncode != 0:
        raise EmbeddedFailed(f"initdb failed\n{(done.stderr or done.stdout).strip()}")
    # Single-user mode: the cluster is complete before any server has run on it.
    options = [] if durable else ["-c", "fsync=off"]
    done = place.account.run(
        [bin_dir / "postgres", "--single", "-D", fresh, *options, "postgres"],
        f"CREATE DATABASE {NAME}\n",
    )
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise EmbeddedFailed(f"the database could not be created\n{done.stderr.strip()}")


def _refuse_strangers(place: Place) -> None:
    if place.data.exists() and (not place.data.is_dir() or any(place.data.iterdir())):
        raise EmbeddedFailed(
            f"{place.data} must be a cluster or not exist, and it is neither; "
            "move it away, or name another place with TASKHUB_HOME"
        )
    # An upgraded taskhub must not start with an empty database beside the full one.
    for other in sorted(place.data.parent.glob("pg[0-9][0-9]")):
        if other != place.data and (other / "PG_VERSION").is_file():
            raise EmbeddedFailed(_dump_and_restore(other, other.name.removeprefix("pg")))


def _dump_and_restore(data: Path, version: str) -> str:
    return (
        f"{data} was made by postgres {version} and this is postgres {binaries.MAJOR}; "
        "dump it with the taskhub that made it (pg_dump), move the directory away, "
        "and restore the dump into a new one (pg_restore)"
    )


def _of_another(place: Place) -> EmbeddedFailed:
    try:
        owner = place.data.owner()
    except (KeyError, OSError):
        owner = "another account"
    return EmbeddedFailed(
        f"{place.data} belongs to {owner} and taskhub runs as {place.account.name}; "
        f"run it as {owner} or root, or name another place with TASKHUB_HOME"
    )
