"""What went wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import traceback

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from taskhub.app import AppImportFailed
from taskhub.db import BadAddress, NoDatabase
from taskhub.embedded import EmbeddedFailed, NoEmbeddedPostgres
from taskhub.migrations import SchemaBehind
from taskhub.queue import BadArgument, CronInUse, UnknownCron, UnknownJob
from taskhub.queue.task import NoHub
from taskhub.queue.worker_actions import UnknownWorker, WorkerLives
from taskhub.settings import BadSetting
from taskhub.settings.masking import masked
from taskhub.telemetry.watching import ExtraMissing, NoAddress

OK, FAILED, USAGE, APP, DATABASE, SCHEMA, PARTLY, UNHEALTHY, REFUSED = 0, 1, 2, 3, 4, 5, 7, 8, 9
INTERRUPTED = 130

# Tables, columns, functions or the schema are not there.
_MISSING = frozenset({"42P01", "42703", "42883", "3F000", "42704"})
# Connection lost, no such role or password, no such database, too many clients, shutting down.
_UNREACHABLE = ("08", "28", "3D", "53", "57P")


# What other command lines call it, and click would guess wrong.
_ELSEWHERE = {
    "--json": "-o json",
    "--format": "-o",
    "--dsn": "--database-url",
    "--no-color": "--color never",
}


class Refused(Exception):
    """A change was not made, because nobody confirmed it."""


class Failed(Exception):
    """The command could not do what it was asked; the message says it all."""


def report(error: BaseException, *, verbose: bool) -> int:
    """Tell stderr what went wrong; the exit code."""
    code, message = _explain(error)
    if verbose and not isinstance(error, click.ClickException | click.Abort | AppImportFailed):
        click.echo(masked("".join(traceback.format_exception(error)).rstrip()), err=True)
    if message:
        click.echo(f"error: {masked(message)}", err=True)
    return code


def _explain(error: BaseException) -> tuple[int, str]:  # noqa: PLR0911 - one kind of error, one return
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, click.UsageError):
        place = error.ctx.command_path if error.ctx is not None else "taskhub"
        text = _instead(error) or error.format_message().rstrip(".")
        return USAGE, f"{text[:1].lower()}{text[1:]}; see `{place} --help`"
    if isinstance(error, click.ClickException):
        return error.exit_code, error.format_message()
    if isinstance(error, AppImportFailed):
        return APP, f"{error}\n{error.told}" if error.told else str(error)
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code, _first_line(error)
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return _database(error.orig)
    if isinstance(error, psycopg.Error):
        return _database(error)
    name = type(error).__name__
    return FAILED, f"{name}: {_first_line(error)}; run again with -v for the traceback"


_CODES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((BadSetting, BadArgument, BadAddress), USAGE),
    ((NoDatabase, NoEmbeddedPostgres, EmbeddedFailed), DATABASE),
    ((NoHub,), APP),
    ((SchemaBehind,), SCHEMA),
    ((Refused, CronInUse, WorkerLives), REFUSED),
    ((Failed, ExtraMissing, NoAddress, UnknownCron, UnknownJob, UnknownWorker), FAILED),
)


def _instead(error: click.UsageError) -> str:
    if not isinstance(error, click.NoSuchOption) or error.option_name not in _ELSEWHERE:
        return ""
    return f"no such option {error.option_name!r}, it is `{_ELSEWHERE[error.option_name]}` here"


def _database(error: psycopg.Error) -> tuple[int, str]:
    state = error.sqlstate
    said = " ".join(str(error).split())
    if state in _MISSING:
        return (
            SCHEMA,
            f"the database lacks what this taskhub needs; run `taskhub db migrate` ({said})",
        )
    if isinstance(error, psycopg.OperationalError) and (
        state is None or state.startswith(_UNREACHABLE)
    ):
        return DATABASE, f"database unreachable; is it running, and is its url right? ({said})"
    return FAILED, f"the database refused: {said}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
