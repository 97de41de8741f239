"""`taskhub config show` and `taskhub version`."""

from __future__ import annotations

import dataclasses
import platform
from importlib.metadata import version as installed

import click

from taskhub.cli.errors import masked
from taskhub.cli.options import Asked, Verbs, verb
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.settings import SECRETS


@click.group("config", cls=Verbs, examples=("taskhub config show",))
def config() -> None:
    """The settings."""


@config.command("show", examples=("taskhub config show", "taskhub config show -o json"))
@click.pass_obj
def show(asked: Asked) -> None:
    """Every setting, its value and the place the value came from; secrets are masked."""
    settings = asked.settings()
    rows = []
    for field in dataclasses.fields(settings):
        if field.name == "sources":
            continue
        value = getattr(settings, field.name)
        hidden = field.name in SECRETS and value is not None
        text = "***" if hidden else masked("" if value is None else str(value))
        rows.append(
            {
                "name": field.name,
                "value": text,
                "source": settings.sources.get(field.name, "default"),
            }
        )
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
