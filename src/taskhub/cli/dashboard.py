"""`taskhub dashboard`: the screens, in a browser."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import click

from taskhub.cli.audit import by, with_reason
from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, Verbs, can_ask, confirm, say
from taskhub.cli.output import Column, write_rows
from taskhub.cli.worker import set_up_logs
from taskhub.queue import Hub, audit
from taskhub.settings import BadSetting

# By name: the two faces of taskhub do not import each other, and a machine without the extra has
# the command line all the same.
DASHBOARD = "taskhub.dashboard"


@click.group(
    "dashboard",
    cls=Verbs,
    invoke_without_command=True,
    examples=("taskhub dashboard", "taskhub dashboard --port 8322 --read-only"),
)
@click.option("--host", metavar="ADDRESS", help="[env: TASKHUB_DASHBOARD_HOST; default: 127.0.0.1]")
@click.option(
    "--port", "-p", type=click.IntRange(0, 65_535), help="0 takes a free one. [default: 8321]"
)
@click.option("--read-only", is_flag=True, help="Nothing can be changed.")
@click.pass_context
def dashboard(ctx: click.Context, host: str | None, port: int | None, *, read_only: bool) -> None:
    """Serve the dashboard until Ctrl-C.

    Without users it listens on this machine alone, where everybody may do everything.
    """
    if ctx.invoked_subcommand is not None:
        return
    asked = ctx.ensure_object(Asked)
    set_up_logs("info", None)
    hub, _ = asked.hub(
        dashboard_host=host, dashboard_port=port, dashboard_read_only=read_only or None
    )
    part("serve").run(hub, hub.settings, say)


@click.group("users", cls=Verbs, examples=("taskhub dashboard users ls",))
def users() -> None:
    """Who may log in: roles none, read, operate and admin."""


@users.command("add", examples=("taskhub dashboard users add ada --role operate",))
@click.argument("name")
@click.option(
    "--role", type=click.Choice(("none", "read", "operate", "admin")), default="read",
    show_default=True,
)  # fmt: skip
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.pass_obj
def add(asked: Asked, name: str, role: str, *, password_stdin: bool) -> None:
    """Add a user, or give one another password and role, which logs them out everywhere."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif can_ask():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError("nobody is there to type a password; give --password-stdin")
    hub, _ = asked.hub(tasks=False)
    try:
        is_new = part("users").add(hub, name, role, password)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _note(hub, "dashboard users add", {"name": name, "role": role})
    say(f"{name} {'may log in' if is_new else 'is changed and logged out'}: role {role}")


@users.command("ls", examples=("taskhub dashboard users ls", "taskhub dashboard users ls -o json"))
@click.pass_obj
def ls(asked: Asked) -> None:
    """The users, their roles and since when they are there."""
    hub, _ = asked.hub(tasks=False)
    rows = [asdict(user) for user in part("users").every(hub)]
    columns = (Column("name"), Column("role"), Column("created_at"))
    write_rows(asked, rows, columns, key="name")


@users.command("rm", examples=("taskhub dashboard users rm ada --yes",))
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@with_reason
@click.pass_obj
def rm(asked: Asked, name: str, *, yes: bool, reason: str) -> None:
    """Remove a user and end their sessions."""
    hub, _ = asked.hub(tasks=False)
    confirm(f"Remove {name} from the dashboard?", yes=yes)
    if not part("users").remove(hub, name):
        raise Failed(
            f"no user of the dashboard is called {name!r}; see `taskhub dashboard users ls`"
        )
    _note(hub, "dashboard users rm", {"name": name}, reason)
    say(f"{name} is removed")


dashboard.add_command(users)


def _note(hub: Hub, action: str, target: dict[str, str], reason: str = "") -> None:
    who = by(reason)
    audit.record(
        hub, actor=who.actor, source=who.source, action=action, target=target, reason=who.reason
    )


@contextmanager
def beside_if_possible(hub: Hub) -> Iterator[None]:
    """The dashboard in a thread of this process; where it cannot be had, a warning says why."""
    with ExitStack() as stack:
        try:
            stack.enter_context(part("serve").beside(hub, hub.settings, say))
        except (Failed, BadSetting) as error:
            say(f"warning: no dashboard: {error}")
        yield


def part(name: str) -> Any:
    """A module of the dashboard.

    Raises:
        Failed: the extra is not installed.
    """
    try:
        return importlib.import_module(f"{DASHBOARD}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "taskhub":
            raise
        raise Failed(
            f"the dashboard needs {error.name}; run `pip install 'taskhub[dashboard]'`"
        ) from None
