"""The verbs that watch: doctor, alerts, stats."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from taskhub.cli.errors import UNHEALTHY, Failed
from taskhub.cli.look import read_since
from taskhub.cli.options import Asked, Verbs, say, verb
from taskhub.cli.output import Column, ago, write_object, write_rows
from taskhub.migrations import SchemaBehind
from taskhub.queue import Hub
from taskhub.queue.why.words import span

CHECKS = (
    Column("check"),
    Column("state"),
    Column("text", "what", wide=True),
    Column("remedy", wide=True),
)
ALERTS = (
    Column("id", right=True),
    Column("severity"),
    Column("since", show=ago),
    Column("text", "what", wide=True),
    Column("remedy", wide=True),
    Column("told_at", "told", ago),
    Column("resolved_at", "resolved", ago),
)
RULES = (
    Column("rule"),
    Column("finds", wide=True),
    Column(
        "bounds",
        show=lambda bounds: ", ".join(f"{name}={value}" for name, value in bounds.items()),
        wide=True,
    ),
)


def _span(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


STATISTICS = (
    Column("name"),
    Column("succeeded", right=True),
    Column("failed", right=True),
    Column("retried", right=True),
    Column("lost", right=True),
    Column("typical_seconds", "takes", _span, right=True),
    Column("slowest_p95_seconds", "p95 at worst", _span, right=True),
    Column("typical_wait_seconds", "waits", _span, right=True),
    Column("longest_p95_wait_seconds", "p95 at worst", _span, right=True),
)


@verb("doctor", examples=("taskhub doctor", "taskhub doctor --smtp --embedding -o json"))
@click.option("--smtp", is_flag=True, help="Also talk to the mail server; no mail is sent.")
@click.option("--embedding", is_flag=True, help="Also have a text embedded by the model.")
@click.pass_context
def doctor(ctx: click.Context, asked: Asked, smtp: bool, embedding: bool) -> None:
    """Check everything and say what mends what is wrong; exit code 8 if a check fails.

    A check is ok, warn, fail or skipped. Warnings leave the exit code at 0.
    """
    from taskhub.system.doctor import examine

    hub, _ = asked.hub(tasks=False)
    checks = list(examine(hub, smtp=smtp, embedding=embedding))
    hub.close()
    write_rows(asked, checks, CHECKS, key="check")
    if any(check.state == "fail" for check in checks):
        ctx.exit(UNHEALTHY)


@click.group(
    "alerts",
    cls=Verbs,
    examples=(
        "taskhub alerts ls",
        "taskhub alerts rules",
        "taskhub alerts test webhook",
        "taskhub alerts watch",
    ),
)
def alerts() -> None:
    """What the monitor found, and whether a notice of it arrives."""


@alerts.command("ls", examples=("taskhub alerts ls", "taskhub alerts ls --resolved"))
@click.option("--resolved", is_flag=True, help="Also those that are over.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@click.pass_obj
def ls(asked: Asked, resolved: bool, limit: int) -> None:
    """The alerts that are open, the newest first."""
    from taskhub.system.alerts import listed

    hub = _hub(asked)
    with Session(hub.engine) as session:
        rows = [
            {column.name: getattr(alert, column.name) for column in ALERTS} | {"key": alert.key}
            for alert in listed(session, resolved=resolved, limit=limit)
        ]
    hub.close()
    write_rows(asked, rows, ALERTS)


@alerts.command(
    "test", examples=("taskhub alerts test webhook", "taskhub alerts test mail:ops@example.com")
)
@click.argument("sink", required=False)
@click.pass_obj
def test(asked: Asked, sink: str | None) -> None:
    """Send a notice to one sink now, or list the sinks; exit code 1 if it was not taken."""
    from taskhub.system import sinks
    from taskhub.system.sinks.refusals import Refused, UnknownSink

    settings = asked.settings()
    if sink is None:
        write_rows(
            asked, [{"sink": n} for n in sinks.names(settings)], (Column("sink"),), key="sink"
        )
        return
    now = datetime.now(UTC)
    message = sinks.Message(
        key=f"test-{now.timestamp():.6f}",
        kind="test",
        subject=f"[{settings.mail_brand}] this is a test",
        lines=("If you read this, notices arrive here.",),
        created_at=now,
    )
    try:
        sinks.send(settings, sink, message)
    except (Refused, UnknownSink) as error:
        raise Failed(str(error)) from error
    say("the sink took it")
    write_object(asked, {"sink": sink, "key": message.key}, key="sink")


@alerts.command("rules", examples=("taskhub alerts rules", "taskhub alerts rules -o json"))
@click.pass_obj
def rules_(asked: Asked) -> None:
    """The monitor's rules, each with the settings that bound it and their values; needs no database."""
    from taskhub.system import rules

    settings = asked.settings()
    rows = [
        {
            "rule": rule.__name__,
            "finds": rules.looks_for(rule),
            "bounds": {name: getattr(settings, name) for name in names},
        }
        for rule, names in rules.THRESHOLDS.items()
    ]
    write_rows(asked, rows, RULES, key="rule")


@alerts.command("watch", examples=("taskhub alerts watch", "taskhub alerts watch --once -o json"))
@click.option("--once", is_flag=True, help="Look once; exit code 8 if the monitor is silent.")
@click.option(
    "--every", "every_seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True,
    metavar="SECONDS", help="How long between two looks.",
)  # fmt: skip
@click.pass_context
def watch(ctx: click.Context, once: bool, every_seconds: float) -> None:
    """Tell by itself when no worker can: the monitor is silent, or the database is away.

    It runs beside the workers, on another machine at best, and does nothing while the monitor looks. Notices
    go straight to the sinks. Of several watchers one tells.
    """
    from taskhub.system.watch import Watch

    asked: Asked = ctx.obj
    hub, _ = asked.hub(tasks=False)
    watcher = Watch(hub)
    said = ""
    while True:
        found = watcher.look()
        if once:
            write_object(asked, found, key="state")
            if found.state in ("looked", "away"):
                ctx.exit(UNHEALTHY)
            return
        if found.state != said or found.sent:
            say(f"{found.state}, {found.sent} notices sent, {found.waiting} wait")
            said = found.state
        time.sleep(every_seconds)


@verb("stats", examples=("taskhub stats", "taskhub stats --since 7d --by hour -o json"))
@click.option("--since", callback=read_since, default="24h", show_default=True)
@click.option(
    "--by", type=click.Choice(("task", "queue", "hour")), default="task", show_default=True
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
def stats(asked: Asked, since: Any, by: Any, limit: int) -> None:
    """What ran in whole hours that are over: counts, times, waits; kept for `statistics_days`."""
    from taskhub.system.statistics import totals

    hub = _hub(asked)
    at = datetime.now(UTC) - since if isinstance(since, timedelta) else since
    with Session(hub.engine) as session:
        rows = totals(session, at, by=by, limit=limit)
    hub.close()
    write_rows(asked, rows, STATISTICS, key="name")


def _hub(asked: Asked) -> Hub:
    """A hub on a database that has the tables of alerts and statistics."""
    from taskhub.system.findings import lacking

    hub, _ = asked.hub(tasks=False)
    if missing := lacking(hub, "queue") or lacking(hub, "kb"):
        raise SchemaBehind(missing)
    return hub
