"""`taskhub dashboard`: the screens, in a browser."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.worker import set_up_logs
from taskhub.queue import Hub
from taskhub.settings import BadSetting

# By name: the two faces of taskhub do not import each other, and a machine without the extra has
# the command line all the same.
SERVE = "taskhub.dashboard.serve"


@verb("dashboard", examples=("taskhub dashboard", "taskhub dashboard --port 8322 --read-only"))
@click.option("--host", metavar="ADDRESS", help="[env: TASKHUB_DASHBOARD_HOST; default: 127.0.0.1]")
@click.option(
    "--port", "-p", type=click.IntRange(0, 65_535), help="0 takes a free one. [default: 8321]"
)
@click.option("--read-only", is_flag=True, default=None, help="Nothing can be changed.")
def dashboard(asked: Asked, host: str | None, port: int | None, read_only: bool | None) -> None:
    """Serve the dashboard until Ctrl-C."""
    set_up_logs("info", None)
    hub, _ = asked.hub(
        dashboard_host=host, dashboard_port=port, dashboard_read_only=read_only or None
    )
    serve().run(hub, hub.settings, say)


@contextmanager
def beside_if_possible(hub: Hub) -> Iterator[None]:
    """The dashboard in a thread of this process; where it cannot be had, a warning says why."""
    with ExitStack() as stack:
        try:
            stack.enter_context(serve().beside(hub, hub.settings, say))
        except (Failed, BadSetting) as error:
            say(f"warning: no dashboard: {error}")
        yield


def serve() -> Any:
    """The module that serves the dashboard.

    Raises:
        Failed: the extra is not installed.
    """
    try:
        return importlib.import_module(SERVE)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "taskhub":
            raise
        raise Failed(
            f"the dashboard needs {error.name}; run `pip install 'taskhub[dashboard]'`"
        ) from None
