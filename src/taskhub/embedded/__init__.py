"""The Postgres that comes with pip: one cluster per project, started when it is asked for.

It lies in `.taskhub/pg18` of the project and listens on a Unix socket alone, inside a directory
that only the server's account and root can enter; whoever gets there is trusted. It runs on when
the process that started it ends, until `stop()`, or until nobody has used it for
`embedded_idle_minutes`.
"""

import fcntl
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from taskhub.embedded import binaries, cluster, idle, server
from taskhub.embedded.binaries import bin_dir
from taskhub.embedded.failures import EmbeddedFailed, NoEmbeddedPostgres
from taskhub.embedded.place import Place, place, sweep
from taskhub.embedded.processor import vector_refusal
from taskhub.embedded.scratch import scratch
from taskhub.settings import Settings

__all__ = [
    "EmbeddedFailed",
    "NoEmbeddedPostgres",
    "bin_dir",
    "home",
    "is_running",
    "reset",
    "scratch",
    "start",
    "stop",
    "url",
    "vector_refusal",
]

logger = logging.getLogger(__name__)


def home(settings: Settings) -> Path:
    """Where the cluster lies: `pg18` in TASKHUB_HOME or in the project's `.taskhub`.

    For root, whose server runs as another account, a directory under /var/lib/taskhub if that
    account cannot reach the project.
    """
    return place(settings).data


def url(settings: Settings, *, start: bool = True) -> str:
    """The postgresql:// url of the database, whose user is a superuser.

    With `start` the cluster is made and the server started where needed: about 2 s the first
    time, 0.2 s later, 2 ms when it runs. It is left running.

    Raises:
        NoEmbeddedPostgres: the binaries are missing.
        EmbeddedFailed: the server did not start.
    """
    here = place(settings)
    seen = server.look(here)
    ready = seen is not None and seen.ready and seen.answers
    if start and not ready:
        with here.locked():
            sweep(here.data.parent)
            if not cluster.exists(here):
                cluster.create(here)
            seen = server.start(here)
            _touch(here)
    elif start:
        _touch(here)
    if start:
        _watch(here, settings.embedded_idle_minutes)
    return server.url(seen.sockets if seen is not None else here.sockets)


def start(settings: Settings) -> str:
    """Start the server unless it runs; its url, as of `url`."""
    return url(settings)


def stop(settings: Settings) -> bool:
    """Stop the server, its clients' transactions rolled back; False if none was running.

    Raises:
        EmbeddedFailed: it did not stop within a minute.
    """
    here = place(settings)
    if not here.data.exists():
        return False
    with here.locked():
        return server.stop(here)


def is_running(settings: Settings) -> bool:
    """Whether the server runs; it may still be recovering from a crash."""
    return server.is_running(place(settings))


def reset(settings: Settings) -> None:
    """Stop the server and delete the cluster with all its data, in no way to be undone.

    Raises:
        EmbeddedFailed: the directory is not a cluster that taskhub made; nothing was deleted.
    """
    here = place(settings)
    if not here.data.exists():
        return
    with here.locked():
        if cluster.is_ours(here.data):
            server.stop(here)
        cluster.delete(here)
        if here.sockets != here.run:
            # Only if it is empty and there: it lies in /tmp.
            with suppress(OSError):
                here.sockets.rmdir()


def _touch(here: Place) -> None:
    # The lock is not held by a mere reader of the url, and another one may touch at once.
    descriptor = os.open(here.used, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        here.account.own(descriptor)
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def _watch(here: Place, idle_minutes: float) -> None:
    """Start the watchdog unless it runs; one that starts beside another ends by itself."""
    if idle_minutes <= 0 or _is_watched(here):
        return
    seen = server.look(here)
    argv = [here.data, here.run, seen.sockets if seen else here.sockets]
    argv += [binaries.bin_dir_for(here.account)]
    numbers = [idle_minutes * 60, here.account.uid, here.account.gid]
    started = subprocess.run(  # noqa: S603 - this interpreter and our own script
        [sys.executable, "-I", "-S", idle.__file__, *map(str, argv), *map(str, numbers)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode != 0:
        logger.warning("the watchdog did not start, so postgres runs on: %s", started.stderr)


def _is_watched(here: Place) -> bool:
    try:
        with (here.run / "watch.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
