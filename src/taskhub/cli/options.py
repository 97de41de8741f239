"""The global options, taken before and after every verb, and what they stand for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import click
from click.shell_completion import CompletionItem

from taskhub import app as apps
from taskhub import settings as settings_module
from taskhub.cli.errors import Refused
from taskhub.db import NoDatabase
from taskhub.queue import Hub
from taskhub.settings import Settings

FORMATS = ("table", "json", "jsonl", "tsv", "ids")


@dataclass(slots=True)
class Asked:
    """What the global options say; None where they were not given.

    Attributes:
        hubs: those that were made, for the end to close whichever way it comes.
    """

    app: str | None = None
    database_url: str | None = None
    output: str | None = None
    color: str = "auto"
    verbose: bool = False
    hubs: list[Hub] = field(default_factory=list)

    def settings(self, **flags: Any) -> Settings:
        """The settings under these options and what else the verb was given."""
        return settings_module.load({"app": self.app, "database_url": self.database_url, **flags})

    def hub(self, *, embedded: bool = False, tasks: bool = True, **flags: Any) -> tuple[Hub, str]:
        """The hub and its name; with `embedded` the embedded Postgres stands in where none is named.

        Without `tasks` the built-in hub comes empty, which loads none of its libraries. `flags`
        are settings that the verb was given.

        Raises:
            AppImportFailed: the named hub cannot be had.
            NoDatabase: none is named anywhere, and none may stand in.
        """
        settings = self.settings(**flags)
        if settings.app is None and not tasks:
            hub, name = Hub(settings=settings), apps.BUILT_IN
        else:
            hub, name = apps.find(settings)
        self.hubs.append(hub)
        given = {key: value for key, value in flags.items() if value is not None}
        if self.database_url is not None:
            given["database_url"] = self.database_url
        elif not apps.names_database(hub):
            if not embedded:
                raise NoDatabase(
                    "no database is named; set TASKHUB_DATABASE_URL=postgresql://user@host/name, "
                    "or TASKHUB_DATABASE_URL=embedded for the Postgres that comes with taskhub[embedded]"
                )
            given["database_url"] = "embedded"
        if given:
            apps.adjust(hub, **given)
        return hub, name

    def colors(self, stream: TextIO) -> bool:
        """Whether this stream gets colour."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if any(
            os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")
        ):
            return True
        return stream.isatty() and not is_dumb()


def is_dumb() -> bool:
    """Whether the terminal knows no escapes, as an editor's does."""
    return os.environ.get("TERM") in ("dumb", "unknown")


def say(message: str) -> None:
    """Tell the person at the terminal; the data goes to stdout, talk to stderr."""
    click.echo(message, err=True)


def can_ask() -> bool:
    """Whether somebody is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Go on if `yes` was given or somebody at the terminal says so.

    Raises:
        Refused: nobody did; nothing was changed.
    """
    if yes:
        return
    if not can_ask():
        raise Refused("nothing was changed: nobody is there to confirm; run again with --yes")
    if not click.confirm(question, err=True):
        raise Refused("nothing was changed")


def _store(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    # Both the group and its verb take the option: the one that was given last wins.
    source = ctx.get_parameter_source(parameter.name or "")
    if source is click.core.ParameterSource.COMMANDLINE:
        setattr(ctx.ensure_object(Asked), (parameter.name or "").removeprefix("global_"), value)


def _global_options() -> list[click.Option]:
    def option(*names: str, **rest: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_store, **rest)

    return [
        option(
            "--app", "-A", "global_app", metavar="MODULE:ATTR",
            help="The hub to use. [env: TASKHUB_APP; default: the built-in knowledge base]",
        ),
        option(
            "--database-url", "global_database_url", metavar="URL",
            help='postgresql://…, or "embedded". [env: TASKHUB_DATABASE_URL]',
        ),
        option(
            "--output", "-o", "global_output", type=click.Choice(FORMATS),
            help="How the data is written. [default: table at a terminal, tsv in a pipe]",
        ),
        option("--verbose", "-v", "global_verbose", is_flag=True, help="Show tracebacks."),
        option(
            "--color", "global_color", type=click.Choice(("auto", "always", "never")),
            help="NO_COLOR is honoured. [default: auto]",
        ),
    ]  # fmt: skip


class Name(click.types.StringParamType):
    """A text that names something; Tab completes it out of the database."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        from taskhub.cli import live_names

        return live_names.complete(ctx, param, incomplete)


class Verb(click.Command):
    """A command with the global options, whose help begins with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        for parameter in self.params:
            if parameter.type is click.STRING:
                parameter.type = Name()
        self.params.extend(_global_options())

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then the text."""
        _write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verb's own options, then the global ones."""
        _write_options(self, ctx, formatter)


class Verbs(click.Group):
    """A group of verbs with the global options."""

    command_class = Verb

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.extend(_global_options())

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then the text."""
        _write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)


def verb(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a verb; it is given what the global options say as its first argument."""

    def make(function: Callable[..., Any]) -> Verb:
        return click.command(name, cls=Verb, examples=examples)(click.pass_obj(function))

    return make


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            (shared if (parameter.name or "").startswith("global_") else own).append(record)
    for title, records in (("Options", own), ("Global options", shared)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
