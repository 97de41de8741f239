"""The verbs that hold jobs back: limits, pause, resume, weigh."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import click

from taskhub.cli.audit import noted, with_reason
from taskhub.cli.errors import PARTLY
from taskhub.cli.look import read_since
from taskhub.cli.options import Asked, Verbs, say, verb
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.queue import Breaker
from taskhub.queue.shares import MOST_WEIGHT


def number(value: float | None) -> str:
    """A number as people write it."""
    return "" if value is None else f"{value:.6g}"


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = r"(\d+(?:\.\d+)?)([smhd])"
_BREAKER = re.compile(rf"(\d+)/{_SPAN}/{_SPAN}")
COLUMNS = (
    Column("name"),
    Column("at_most", "at most", right=True),
    Column("slots", "for now", right=True),
    Column("running", right=True),
    Column("per_second", "per second", show=number, right=True),
    Column("tokens", "tokens left", show=number, right=True),
    Column("burst", "of", show=number, right=True),
    Column("breaker"),
    Column("open_until", "opens again"),
    Column("open_reason", "because", wide=True),
    Column("paused_at", "paused since"),
    Column("paused_until", "until"),
    Column("reason", wide=True),
    Column("is_declared", "by its task", show=lambda said: "yes" if said else ""),
)


def read_breaker(
    _ctx: click.Context, _parameter: click.Parameter, value: str | None
) -> Breaker | None:
    """5/60s/30s: failures, within, hold."""
    if value is None:
        return None
    if found := _BREAKER.fullmatch(value):
        failures, *spans = found.groups()
        within, hold = (
            float(amount) * _SECONDS[unit]
            for amount, unit in zip(spans[::2], spans[1::2], strict=True)
        )
        try:
            return Breaker(failures=int(failures), within=within, hold=hold)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    raise click.BadParameter(f"must be like 5/60s/30s, got {value!r}")


@click.group(
    "limits",
    cls=Verbs,
    invoke_without_command=True,
    examples=(
        "taskhub limits",
        "taskhub limits set queue:mail --at-most 10",
        "taskhub limits set task:send --at-most 2",
        "taskhub limits set openai --per-minute 10000 --burst 500",
        "taskhub limits rm tenant:7",
    ),
)
@click.pass_context
def limits(ctx: click.Context) -> None:
    """The limits and pauses in force, and what runs under each.

    Last come the keys that tasks declare, where jobs of them wait or run: 200 of each at most.
    """
    if ctx.invoked_subcommand is not None:
        return
    asked: Asked = ctx.obj
    hub, _ = asked.hub(tasks=False)
    found = hub.limits()
    hub.close()
    write_rows(asked, found, COLUMNS, key="name")


@limits.command(
    "set",
    examples=(
        "taskhub limits set queue:mail --at-most 10",
        "taskhub limits set openai --per-minute 10000 --burst 500 --at-most 50",
        "taskhub limits set openai --at-most 50 --feedback --breaker 5/60s/30s",
    ),
)
@click.argument("name")
@click.option("--at-most", type=click.IntRange(1, 2**31 - 1), help="Jobs at once.")
@click.option("--per-second", type=float, help="Tokens of a key; a job takes one, or its tokens=.")
@click.option("--per-minute", type=float, help="The same.")
@click.option("--per-hour", type=float, help="The same.")
@click.option("--per-day", type=float, help="The same.")
@click.option("--burst", type=float, help="Tokens saved up. [default: those of a second]")
@click.option("--feedback", is_flag=True, help="A 429 halves --at-most for a while.")
@click.option(
    "--breaker",
    metavar="FAILURES/WITHIN/HOLD",
    callback=read_breaker,
    help="Hold the key for HOLD after so many failures within WITHIN.",
)
@with_reason
@click.pass_obj
def set_(asked: Asked, /, name: str, reason: str, **said: Any) -> None:
    """Hold jobs of queue:NAME, task:NAME or a key back, from now on.

    It takes the place of all that was said of the name before, except a pause. Rates, feedback and
    breakers are for keys.
    """
    given = {
        what: value for what, value in said.items() if value is not None and value is not False
    }
    hub, _ = asked.hub(tasks=False)
    try:
        with noted(hub, "limits set", {"name": name, **given}, reason):
            hub.limit(name, **given)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    finally:
        hub.close()
    if isinstance(breaker := given.get("breaker"), Breaker):
        given["breaker"] = dataclasses.asdict(breaker)
    write_object(asked, {"name": name, **given}, key="name")


@limits.command("rm", examples=("taskhub limits rm queue:mail",))
@click.argument("name")
@with_reason
@click.pass_context
def rm(ctx: click.Context, name: str, reason: str) -> None:
    """Take a limit away; exit code 7 if there was none. A pause stays."""
    asked: Asked = ctx.obj
    hub, _ = asked.hub(tasks=False)
    with noted(hub, "limits rm", {"name": name}, reason):
        was_there = hub.unlimit(name)
    hub.close()
    _tell(ctx, name, was_there, "removed", f"{name} had no limit of its own")


@verb(
    "pause",
    examples=(
        "taskhub pause mail --reason 'provider is down' --until 2h",
        "taskhub pause --task send_reset",
        "taskhub pause --key tenant:7 --until 2030-01-01T06:00Z",
    ),
)
@click.argument("queue", required=False)
@click.option("--task", help="A task, in whatever queue, instead of a queue.")
@click.option("--key", help="A key that tasks name by limit=.")
@click.option("--reason", default="", help="Kept beside it.")
@click.option("--until", callback=read_since, help="From now on 30m, 2h, 1d, or an ISO time.")
def pause(
    asked: Asked, queue: str | None, task: str | None, key: str | None, reason: str, until: Any
) -> None:
    """Start no more jobs of a queue, a task or a key; what runs goes on."""
    _exactly_one(queue, task, key)
    hub, _ = asked.hub(tasks=False)
    name = _name(queue, task, key)
    with noted(hub, "pause", {"name": name, "until": until}, reason):
        hub.pause(queue=queue, task=task, key=key, reason=reason, until=until)
    hub.close()
    write_object(asked, {"name": name, "outcome": "paused"}, key="name")


@verb("resume", examples=("taskhub resume mail", "taskhub resume --task send_reset"))
@click.argument("queue", required=False)
@click.option("--task", help="A task instead of a queue.")
@click.option("--key", help="A key that tasks name by limit=.")
@with_reason
@click.pass_context
def resume(
    ctx: click.Context,
    asked: Asked,
    queue: str | None,
    task: str | None,
    key: str | None,
    reason: str,
) -> None:
    """Let jobs of a queue, a task or a key start again; exit code 7 if it was not held.

    For a key it also closes the breaker.
    """
    _exactly_one(queue, task, key)
    hub, _ = asked.hub(tasks=False)
    name = _name(queue, task, key)
    with noted(hub, "resume", {"name": name}, reason):
        was_there = hub.resume(queue=queue, task=task, key=key)
    hub.close()
    _tell(ctx, name, was_there, "resumed", f"{name} was not paused")


@verb("weigh", examples=("taskhub weigh indexing tenant:7 3", "taskhub weigh indexing tenant:7 1"))
@click.argument("queue")
@click.argument("fair_key")
@click.argument("weight", type=click.IntRange(1, MOST_WEIGHT))
@with_reason
def weigh(asked: Asked, queue: str, fair_key: str, weight: int, reason: str) -> None:
    """Give a fair key of a queue so many turns for each one of the others; 1 is the default."""
    hub, _ = asked.hub(tasks=False)
    target = {"queue": queue, "fair_key": fair_key, "weight": weight}
    with noted(hub, "weigh", target, reason):
        hub.weigh(queue, fair_key, weight)
    hub.close()
    write_object(asked, target, key="fair_key")


def _exactly_one(*given: str | None) -> None:
    if sum(one is not None for one in given) != 1:
        raise click.UsageError("give one of QUEUE, --task and --key")


def _name(queue: str | None, task: str | None, key: str | None) -> str:
    if queue is not None:
        return f"queue:{queue}"
    return f"task:{task}" if task is not None else str(key)


def _tell(ctx: click.Context, name: str, was_there: bool, done: str, otherwise: str) -> None:
    outcome = done if was_there else "unchanged"
    write_object(ctx.obj, {"name": name, "outcome": outcome}, key="name")
    if not was_there:
        say(otherwise)
        ctx.exit(PARTLY)
