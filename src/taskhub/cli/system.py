"""`taskhub config show` and `taskhub version`."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

import click

from taskhub.cli.options import Asked, Verbs, verb
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.settings.masking import shown


@click.group("config", cls=Verbs, examples=("taskhub config show",))
def config() -> None:
    """The settings."""


@config.command("show", examples=("taskhub config show", "taskhub config show -o json"))
@click.pass_obj
def show(asked: Asked) -> None:
    """Every setting, its value and the place the value came from; secrets are masked."""
    rows = shown(asked.settings())
    write_rows(
        asked, rows, (Column("name"), Column("value", wide=True), Column("source")), key="name"
    )


@verb("version", examples=("taskhub version",))
def version(asked: Asked) -> None:
    """The versions of taskhub, procrastinate and Python."""
    told = {
        "taskhub": installed("taskhub"),
        "procrastinate": installed("procrastinate"),
        "python": platform.python_version(),
    }
    write_object(asked, told, key="taskhub")
