"""How a child process is started: its program, its environment, and what it is told."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskhub.queue.child import Child
from taskhub.settings import PREFIX, Settings

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# What a supervisor tells the worker itself: a child that answers to it would speak for the worker.
_WORKERS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*", "MAINPID")
# Without these an interpreter does not find its modules, or speaks another language.
_ALWAYS = ("PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHON*", "TASKHUB_*")
_KEEPER = Path(__file__).with_name("child_keeper.py")


def start(
    told: Mapping[str, Any],
    environment: Mapping[str, str],
    on_free: Callable[[Child], None],
    on_gone: Callable[[Child, Exception], None],
) -> Child:
    """Start a fresh interpreter under a keeper; it tells when it is ready.

    Not a fork: a worker has threads, and a lock that one of them holds would be held for ever.
    """
    # The keeper ends with all it keeps when the worker closes its end, or dies.
    kept_by, ends = os.pipe()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    # -P: beside the keeper lie modules whose names the standard library has too.
    program = [sys.executable, "-P", str(_KEEPER), str(theirs.fileno()), str(kept_by)]
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of our own
            [*program, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno(), kept_by],
            process_group=0,
        )
    except BaseException:
        os.close(ends)
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(kept_by)
    most = told["max_result_bytes"] + 65_536
    return Child(process, ends, ours, max_bytes=most, on_free=on_free, on_gone=on_gone)


def what_to_tell(hub: Hub, settings: Settings) -> dict[str, Any]:
    """What a child must know from its first line on."""
    return {
        "path": sys.path,
        "parent_pid": os.getpid(),
        "hub": place_of(hub),
        "log_level": logging.getLogger().level,
        "max_result_bytes": settings.process_max_result_bytes,
    }


def place_of(hub: Hub) -> tuple[str, str] | None:
    """The module and the name under which a hub can be imported; None: no module has it."""
    if hub.importable_as is not None:
        return hub.importable_as
    for module_name, module in list(sys.modules.items()):
        if module_name == "__main__":
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is hub:
                return module_name, name
    return None


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: the worker's, or what `process_environment` lets through.

    Flags of the worker's command line are handed on as variables, and so is what the code that made
    the hub chose, because a child would not find it elsewhere.
    """
    allowed = (*_ALWAYS, *settings.process_environment) if settings.process_environment else ("*",)
    kept = {
        name: value
        for name, value in os.environ.items()
        if _fits(name, allowed) and not _fits(name, _WORKERS_OWN)
    }
    for setting in dataclasses.fields(settings):
        name, value = setting.name, getattr(settings, setting.name)
        place = settings.sources.get(name, "code" if value != setting.default else "default")
        if place in ("flag", "code") and isinstance(value, str | int | float | Path):
            kept[f"{PREFIX}{name.upper()}"] = str(value)
    return kept


def _fits(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
