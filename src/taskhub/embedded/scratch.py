"""A throw-away server for tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskhub.embedded import cluster, server
from taskhub.embedded.account import account_for
from taskhub.embedded.place import CLUSTER, Place


@contextmanager
def scratch(parent: Path, **server_settings: str) -> Iterator[str]:
    """The url of a new server's database `taskhub` as its superuser; all is gone at the end.

    It lives in a new directory inside `parent`, or inside /tmp where root's stand-in account
    cannot reach `parent`. `server_settings` are Postgres's own, `fsync="off"`. Takes about 1.5 s.
    Nothing stops it if this process is killed with SIGKILL.
    """
    parent = Path(os.path.realpath(parent))
    account = account_for(parent)
    within = parent if account.is_caller or account.reaches(parent) else Path("/tmp")  # noqa: S108 - mkdtemp makes a private directory
    folder = Path(tempfile.mkdtemp(prefix="taskhub-", dir=within))
    if not account.is_caller:
        os.chown(folder, account.uid, account.gid)
    place = Place(folder / CLUSTER, account)
    try:
        place.prepare()
        cluster.create(place, durable=False)
        yield server.url(server.start(place, server_settings).sockets)
    finally:
        try:
            server.stop(place, mode="immediate")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(place.sockets, ignore_errors=True)
