"""The watchdog: stops a server that nobody has used for a while.

Started as a script of its own, not as a module of the package: it needs the standard library
alone, so it costs 10 MB instead of an import of taskhub, and works where the server's account
cannot reach site-packages.
"""

import fcntl
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 60.0
GONE_SECONDS = 2.0

# Its own sessions go to the database postgres; short visits to others show in their counters.
ACTIVITY = """
SELECT count(*) FILTER (WHERE pid <> pg_backend_pid()),
       (SELECT sum(sessions) FROM pg_stat_database WHERE datname <> 'postgres')
FROM pg_stat_activity
WHERE backend_type IN ('client backend', 'walsender')
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """One server to watch, and the tools to do it with."""

    data: Path
    run: Path
    sockets: Path
    bin: Path
    idle_seconds: float

    def until_idle_or_gone(self) -> None:
        """Look now and then; stop the server once nobody has used it for `idle_seconds`."""
        look_seconds = min(LOOK_SECONDS, self.idle_seconds / 4)
        busy_at = looked_at = time.monotonic()
        last = self.activity()
        while True:
            time.sleep(min(GONE_SECONDS, look_seconds))
            if not self.pid_file.exists() and self.leave(stopping=False):
                return
            if time.monotonic() < looked_at + look_seconds:
                continue
            looked_at = time.monotonic()
            now = self.activity()
            if now is None:
                # Not answered for so long means a stale pid file, or that others must look into it.
                if self.leave(stopping=False) or looked_at - busy_at >= self.idle_seconds:
                    return
            elif now != last or now[0] > 0:
                busy_at, last = looked_at, now
            elif looked_at - busy_at >= self.idle_seconds and self.leave(stopping=True):
                return

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def activity(self) -> tuple[int, str, int] | None:
        """Other clients now, sessions ever, when a url was last asked for; None if not answered."""
        shown = self.tool(
            *("psql", "-X", "-A", "-t", "-w", "-h", self.sockets),
            *("-U", "taskhub", "-d", "postgres", "-c", ACTIVITY),
        )
        if shown.returncode != 0:
            return None
        clients, _, sessions = shown.stdout.strip().partition("|")
        try:
            used = (self.run / "used").stat().st_mtime_ns
        except OSError:
            used = 0
        return int(clients), sessions, used

    def leave(self, *, stopping: bool) -> bool:
        """Under the lock of all starts: whether the watch is over, the server stopped if asked.

        Whoever starts the server holds the lock until it runs, and a process that asks for the
        url afterwards finds the watchdog either still there or gone, never about to stop.
        """
        with (self.run / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            seen = self.activity()
            if stopping and seen is not None and seen[0] == 0:
                stopped = self.tool("pg_ctl", "-s", "-D", self.data, "stop", "-w", "-m", "fast")
                return stopped.returncode == 0
            # 3 and 4: no server, no data directory.
            status = self.tool("pg_ctl", "-s", "-D", self.data, "status")
            return seen is None and status.returncode in (3, 4)

    def tool(self, name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own binaries and paths
            [str(self.bin / name), *map(str, options)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )


def main(argv: list[str]) -> None:
    data, run, sockets, bin_dir, idle_seconds, uid, gid = argv
    if os.geteuid() == 0:
        # Python is loaded by now, which the account may not be able to do by itself.
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    only_one = os.open(Path(run) / "watch.lock", flags, 0o600)
    if not is_first(only_one) or os.fork() > 0:
        return
    os.setsid()
    os.chdir("/")
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(devnull, stream)
    Watch(
        Path(data), Path(run), Path(sockets), Path(bin_dir), float(idle_seconds)
    ).until_idle_or_gone()


def is_first(only_one: int) -> bool:
    for _ in range(5):
        try:
            fcntl.flock(only_one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Perhaps only somebody who looks, for microseconds, whether there is a watchdog.
            time.sleep(0.01)
        else:
            return True
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
