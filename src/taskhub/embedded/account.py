"""Who runs the server: the caller, or for root an account that already exists.

Postgres refuses to run as root. No account is made and no directory that was there before is
given another mode: what the account cannot reach is put where it can.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskhub.embedded.failures import EmbeddedFailed

# The caller's PG* variables and LD_LIBRARY_PATH must not steer our tools; on macOS the postmaster
# dies without a locale in its environment.
CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the operating system."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def is_caller(self) -> bool:
        return self.uid == os.geteuid()

    def reaches(self, path: Path) -> bool:
        """Whether every directory down to `path` lets this account pass, missing ones left out."""
        return all(
            self._may(folder, stat.S_IXUSR)
            for folder in (path, *path.parents)
            if folder.exists() and folder.is_dir()
        )

    def reads(self, path: Path) -> bool:
        """Whether this account reaches `path` and may read it."""
        return self.reaches(path.parent) and self._may(path, stat.S_IRUSR)

    def run(self, argv: Sequence[str | Path], given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a tool to its end as this account, in a clean environment without a terminal."""
        return subprocess.run(  # noqa: S603 - argv is built here, from our own binaries and paths
            [str(part) for part in argv],
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            umask=0o077,
            **self._demotion(),
        )

    def own(self, descriptor: int) -> None:
        """Hand a file or directory that root has just made over to this account."""
        if not self.is_caller and os.fstat(descriptor).st_uid == os.geteuid():
            os.fchown(descriptor, self.uid, self.gid)

    def _may(self, path: Path, user_bit: int) -> bool:
        found = path.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & user_bit)
        if found.st_gid == self.gid:
            return bool(found.st_mode & user_bit >> 3)
        return bool(found.st_mode & user_bit >> 6)

    def _demotion(self) -> dict[str, Any]:
        if self.is_caller:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(cluster: Path) -> Account:
    """The account that runs, or would run, the server of this cluster.

    An ordinary user is that account. For root it is the owner of the cluster that is there, else
    the owner of the directory around it, so that the owner can go on without root; else `nobody`.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    nearest = next(folder for folder in (cluster, *cluster.parents) if folder.exists())
    owner = nearest.stat()
    try:
        known = pwd.getpwuid(owner.st_uid)  # initdb refuses a uid that has no name
        if known.pw_uid == 0:
            known = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedFailed(
            f"postgres must not run as root and uid {owner.st_uid} has no name or nobody is "
            "missing; run taskhub as an ordinary user"
        ) from None
    return Account(known.pw_uid, known.pw_gid)


def make_private(folder: Path, account: Account) -> None:
    """Make a directory that only this account and root can enter, or check the one there is.

    Raises:
        EmbeddedFailed: it is a link, belongs to another account or is open to others.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise EmbeddedFailed(f"could not make {folder}: {error.strerror}") from error
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EmbeddedFailed(
            f"{folder} must be a directory of account {account.name}, got: {error.strerror}"
        ) from error
    try:
        account.own(descriptor)
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != account.uid or mode & 0o077:
        raise EmbeddedFailed(
            f"{folder} must belong to account {account.name} with mode 0700, "
            f"got uid {found.st_uid} and mode {mode:04o}; remove it, or name another place "
            "with TASKHUB_HOME"
        )
