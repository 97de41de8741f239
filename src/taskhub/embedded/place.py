"""Where a cluster, its lock, its log and its socket lie."""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskhub.embedded import binaries
from taskhub.embedded.account import Account, account_for, make_private
from taskhub.embedded.failures import EmbeddedFailed
from taskhub.settings import Settings

PROJECT_FILES = ("pyproject.toml", "taskhub.toml")
CLUSTER = f"pg{binaries.MAJOR}"
PORT = 5432  # names the socket file, nothing listens on a network

# Shortest sun_path there is (macOS, 104 bytes with its end), less "/.s.PGSQL.5432".
MAX_SOCKET_DIRECTORY_BYTES = 89

# Initdb, a start after a crash and a slow disk together.
LOCK_SECONDS = 120.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster directory, and who runs its server."""

    data: Path
    account: Account

    @property
    def run(self) -> Path:
        """The private directory beside the cluster; it survives a reset."""
        return self.data.parent / "run"

    @property
    def log(self) -> Path:
        return self.run / "postgres.log"

    @property
    def used(self) -> Path:
        """A file touched whenever somebody asks for the url, so that the watchdog sees it."""
        return self.run / "used"

    @property
    def sockets(self) -> Path:
        """The private directory that a newly started server puts its socket in.

        It moves to /tmp if the path is too long or holds more than plain characters: a comma
        means two hosts to libpq, and SQLAlchemy writes a space as "+", which libpq takes as plus.
        Not TMPDIR or XDG_RUNTIME_DIR: those differ between a login, cron and sudo.
        """
        path = str(self.run)
        if len(path) <= MAX_SOCKET_DIRECTORY_BYTES and re.fullmatch(r"[A-Za-z0-9/._-]+", path):
            return self.run
        return Path("/tmp") / f"taskhub-{self.account.uid}-{_short_hash(path)}"  # noqa: S108 - make_private checks owner and mode

    def prepare(self) -> None:
        """Make the directories around the cluster that are not there yet."""
        parent = self.data.parent
        if not parent.exists():
            _make_parent(parent, self.account)
        make_private(self.run, self.account)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every start, stop and reset of this cluster takes.

        Raises:
            EmbeddedFailed: somebody else held it for LOCK_SECONDS.
        """
        self.prepare()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.run / "lock", flags, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS
        try:
            self.account.own(descriptor)
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise EmbeddedFailed(
                        f"another process has held {self.run / 'lock'} for "
                        f"{LOCK_SECONDS:.0f} s; see who starts or stops the server",
                        self.log,
                    )
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)


def place(settings: Settings) -> Place:
    """Where the cluster of this project lies, and whose it is.

    Root's server runs as another account. If that account cannot reach the project, the cluster
    lies under /var/lib/taskhub, in a directory named after the project's path.

    Raises:
        EmbeddedFailed: a cluster is there, but the account that owns it cannot reach it.
    """
    wanted = (settings.home or _project() / ".taskhub").absolute()
    data = Path(os.path.realpath(wanted)) / CLUSTER
    account = account_for(data)
    if account.is_caller or account.reaches(data):
        return Place(data, account)
    if data.exists():
        raise EmbeddedFailed(
            f"account {account.name} owns {data} but cannot reach it; "
            f"run taskhub as {account.name}, or move the directory"
        )
    data = binaries.STATE / _short_hash(str(data.parent)) / CLUSTER
    return Place(data, account_for(data) if data.exists() else account)


def _project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if any((folder / name).is_file() for name in PROJECT_FILES):
            return folder
    return here


def _make_parent(parent: Path, account: Account) -> None:
    """Make `.taskhub`, for whoever owns the project, and keep it out of git."""
    for folder in reversed([p for p in (parent, *parent.parents) if not p.exists()]):
        try:
            # Another account than the caller has to pass through it.
            folder.mkdir(mode=0o700 if account.is_caller else 0o755)
        except FileExistsError:
            continue
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not account.is_caller:
                os.fchmod(descriptor, 0o755)  # the umask may have closed it
            if folder.parent.stat().st_uid == account.uid:
                account.own(descriptor)
        finally:
            os.close(descriptor)
    ignore = parent / ".gitignore"
    try:
        with ignore.open("x", encoding="utf-8") as file:
            file.write("*\n")
    except FileExistsError:
        pass


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()[:12]


def sweep(folder: Path) -> None:
    """Delete what a killed initdb or reset left beside the cluster; the caller holds the lock."""
    for leftover in (*folder.glob(f"{CLUSTER}.new-*"), *folder.glob(f"{CLUSTER}.old-*")):
        logger.info("deleting the leftover %s", leftover)
        # An orphaned initdb may still write into it; then the next sweep takes the rest.
        shutil.rmtree(leftover, ignore_errors=True)
