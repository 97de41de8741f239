"""Who sits at this command line, for the audit."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import click

from taskhub.queue import Hub, audit

F = TypeVar("F", bound=Callable[..., Any])


def by(reason: str | None) -> audit.By:
    """The user of the operating system, whatever the environment calls them."""
    return audit.By(_user(), "cli", reason or None)


def noted(
    hub: Hub, action: str, target: dict[str, Any], reason: str | None = None
) -> AbstractContextManager[audit.Entry]:
    """The row of one change: there before it, with its outcome after it."""
    told = {name: value for name, value in target.items() if value not in (None, (), [], False)}
    return audit.entry(hub, by(reason), action, told)


def with_reason(function: F) -> F:
    """The option --reason of a verb that changes something."""
    return click.option("--reason", default="", help="Kept in the audit.")(function)


def bulk(function: F) -> F:
    """The options of a verb that changes as many as match: --dry-run, --yes and --reason."""
    asked = click.option("--dry-run", is_flag=True, help="Count what would be changed.")
    sure = click.option("--yes", is_flag=True, help="Do not ask.")
    return asked(sure(with_reason(function)))


def _user() -> str:
    try:
        import pwd
    except ImportError:  # Windows
        return os.environ.get("USERNAME", "") or "somebody"
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need have no name
        return f"uid {os.getuid()}"
