"""The server process of a cluster: seen, started, stopped."""

import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from taskhub.embedded import binaries
from taskhub.embedded.account import make_private
from taskhub.embedded.cluster import NAME
from taskhub.embedded.failures import EmbeddedFailed, tail
from taskhub.embedded.place import PORT, Place

START_SECONDS = 60
STOP_SECONDS = 60

# After kill -9 of the postmaster its orphans hold the cluster for a second or two.
ORPHAN_SECONDS = 10.0
PATIENCE_SECONDS = 2.0
HELD_BY_ORPHANS = re.compile(r'lock file ".*" already exists|pre-existing shared memory block')

MAX_LOG_BYTES = 10_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says of a server, which may be long dead."""

    pid: int
    data: Path
    sockets: Path
    ready: bool

    @property
    def answers(self) -> bool:
        """Whether somebody listens on the socket; true across containers that share the files."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.sockets / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
        return True

    @property
    def runs(self) -> bool:
        """Whether the pid is this cluster's server, and not a process that inherited the number."""
        argv = _argv(self.pid)
        return bool(argv) and "postgres" in Path(argv[0]).name and str(self.data) in argv


def look(place: Place) -> Postmaster | None:
    """The server that last took this cluster, or None if it was stopped properly.

    Raises:
        EmbeddedFailed: the cluster is another account's.
    """
    try:
        lines = (place.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise EmbeddedFailed(
            f"{place.data} belongs to another account; run taskhub as that account or as root"
        ) from None
    # The file is written in steps while the server starts.
    lines += [""] * (8 - len(lines))
    pid = int(lines[0]) if lines[0].strip().isdigit() else 0
    return Postmaster(
        pid=pid,
        data=place.data,
        sockets=Path(lines[4]) if lines[4] else place.sockets,
        ready=lines[7].strip() == "ready",
    )


def is_running(place: Place) -> bool:
    """Whether the server takes connections, or is about to."""
    seen = look(place)
    return seen is not None and (seen.answers or seen.runs)


def url(sockets: Path) -> str:
    """The form that psycopg, psycopg2, asyncpg and SQLAlchemy all read."""
    return f"postgresql://{NAME}@/{NAME}?host={quote(str(sockets))}&port={PORT}"


def start(place: Place, options: Mapping[str, str] | None = None) -> Postmaster:
    """Start the server unless it runs, and wait until it takes connections.

    The caller holds the lock. Recovery after a crash is waited for, START_SECONDS at most.

    Raises:
        EmbeddedFailed: it did not start, with the last lines of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while (seen := look(place)) is not None:
        if seen.ready and seen.answers:
            return seen
        if not seen.runs and not seen.answers:
            break
        if seen.ready and not (seen.sockets / f".s.PGSQL.{PORT}").exists():
            # A cleaner of /tmp took the socket away; only a restart brings it back.
            stop(place)
        if time.monotonic() > deadline:
            raise EmbeddedFailed(f"postgres was not ready within {START_SECONDS} s", place.log)
        time.sleep(0.05)
    if seen is not None:
        _forget(seen)
    _launch(place, options or {})
    started = look(place)
    if started is None or not started.answers:
        raise EmbeddedFailed("postgres started and went away", place.log)
    return started


def stop(place: Place, mode: str = "fast") -> bool:
    """Stop the server; False if there was none. The caller holds the lock.

    Raises:
        EmbeddedFailed: it did not stop within STOP_SECONDS.
    """
    seen = look(place)
    if seen is None or not (seen.runs or seen.answers):
        return False
    if not seen.runs:
        # pg_ctl would signal whatever has that pid on this side.
        raise EmbeddedFailed(f"postgres of {place.data} runs in another container; stop it there")
    pg_ctl = binaries.bin_dir_for(place.account) / "pg_ctl"
    argv: list[str | Path] = [pg_ctl, "stop", "-s", "-w", "-t", str(STOP_SECONDS)]
    argv += ["-m", mode, "-D", place.data]
    done = place.account.run(argv)
    if done.returncode != 0 and is_running(place):
        raise EmbeddedFailed(f"postgres did not stop: {done.stderr.strip()}", place.log)
    logger.info("postgres stopped in %s", place.data)
    return True


def _launch(place: Place, options: Mapping[str, str]) -> None:
    pg_ctl = binaries.bin_dir_for(place.account) / "pg_ctl"
    for path in (place.data, pg_ctl):
        if re.search(r'["$`\\\n]', str(path)):  # pg_ctl puts them between quotes in a shell line
            raise EmbeddedFailed(f'path of the cluster must be without " $ ` \\, got {path}')
    make_private(place.sockets, place.account)
    _shorten(place.log)
    switches = f"-k {place.sockets} -p {PORT}"
    switches += "".join(f" -c {shlex.quote(f'{name}={text}')}" for name, text in options.items())
    argv: list[str | Path] = [pg_ctl, "start", "-s", "-w", "-t", str(START_SECONDS)]
    argv += ["-D", place.data, "-l", place.log, "-o", switches]
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        before = place.log.stat().st_size if place.log.exists() else 0
        began = time.monotonic()
        done = place.account.run(argv)
        if done.returncode == 0:
            logger.info("postgres started in %s", place.data)
            return
        said = tail(place.log, since_bytes=before)
        if not HELD_BY_ORPHANS.search(said) or time.monotonic() > deadline:
            waited = time.monotonic() - began
            raise EmbeddedFailed(
                f"postgres did not start in {waited:.0f} s: {done.stderr.strip()}", place.log, said
            )
        if time.monotonic() > deadline - ORPHAN_SECONDS + PATIENCE_SECONDS:
            _end_orphans(place.data)
        time.sleep(0.2)


def _end_orphans(data: Path) -> None:
    """Quit the backends that a dead postmaster left; one in a long statement notices nothing."""
    for folder in Path("/proc").glob("[0-9]*"):  # empty on macOS, where only waiting helps
        try:
            # Backends work in the data directory; nothing else tells whose they are.
            named = (folder / "comm").read_text().strip() == "postgres"
            if named and (folder / "cwd").readlink() == data:
                os.kill(int(folder.name), signal.SIGQUIT)
        except OSError:
            continue


def _forget(dead: Postmaster) -> None:
    """Remove the lock files of a dead server if its pid has gone to another process.

    Postgres itself sees through a pid that nobody has, but not through one that was given out
    again, as after a reboot or in a restarted container, nor through an unreaped one. It still
    refuses while orphans of the dead server are attached to its shared memory.
    """
    try:
        os.kill(dead.pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        pass
    logger.info("pid %s in a stale postmaster.pid is another process now", dead.pid)
    for stale in (dead.data / "postmaster.pid", dead.sockets / f".s.PGSQL.{PORT}.lock"):
        stale.unlink(missing_ok=True)


def _argv(pid: int) -> list[str]:
    """A process's command line; empty for one that is gone or not yet reaped."""
    if pid <= 0:
        return []
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return []
        return [os.fsdecode(part) for part in raw.split(b"\0")[:-1]]
    shown = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-ww", "-p", str(pid), "-o", "command="],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    before, found, after = shown.partition(" -D ")
    return [before, re.split(r" -[kpc] ", after)[0]] if found else []


def _shorten(log: Path) -> None:
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
