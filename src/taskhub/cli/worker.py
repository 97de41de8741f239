"""`taskhub worker`: run jobs until told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskhub import settings
from taskhub.cli.errors import APP, SCHEMA, USAGE
from taskhub.cli.options import Asked, say, verb
from taskhub.queue import Hub, Worker, collector, insight, parting
from taskhub.queue.shares import MOST_WEIGHT
from taskhub.queue.storable import MAX_NAME_BYTES, check_text
from taskhub.settings.masking import masked
from taskhub.telemetry import logs
from taskhub.telemetry.watching import Probing, watched

# What is left to tell when a drain ends without a database: its exit code.
DATABASE_LOST = 4
F = TypeVar("F", bound=Callable[..., Any])


def set_up_logs(level: str, kind: str | None) -> None:
    """Send all logs to stderr, as `kind` says, else as the setting log_format does."""
    logs.set_up(sys.stderr, level, kind or settings.load().log_format)


def queue_names(given: tuple[str, ...]) -> list[str] | dict[str, int] | None:
    """The names in `-q mail,indexing -q other`; None stands for all queues.

    With weights, `-q indexing:4 -q mail`, a mapping; one of which nothing is said has 1.

    Raises:
        BadArgument: no queue can be called so.
        BadParameter: a weight cannot be.
    """
    named = [name.strip() for value in given for name in value.split(",") if name.strip()]
    weights = {}
    for one in named:
        name, _, weight = one.rpartition(":") if ":" in one else (one, "", "1")
        check_text(name, f"queue {name!r:.60}", MAX_NAME_BYTES)
        if not (weight.isascii() and weight.isdecimal() and 1 <= int(weight[:9]) <= MOST_WEIGHT):
            raise click.BadParameter(
                f"weight of queue {name!r} must be a whole number from 1 to {MOST_WEIGHT}, got {weight!r}"
            )
        weights[name] = int(weight)
    if any(":" in one for one in named):
        return weights
    return named or None


def probed_at(host: str, port: int | None) -> Probing | None:
    """Where probes are asked for; None if nobody does."""
    return None if port is None else Probing(host, port)


def work(made: Worker, probing: Probing | None = None) -> None:
    """Run a worker to its end; a thread that cannot be stopped ends with the process."""
    try:
        with collector.calm():
            code = asyncio.run(parting.to_the_end(made, _told(made, probing), failed=DATABASE_LOST))
    finally:
        made.hub.close()
    if code:
        sys.exit(code)


async def _told(made: Worker, probing: Probing | None) -> None:
    try:
        async with watched(made, probing, say):
            await made.run()
    finally:
        if made.abandoned:
            say(
                f"{made.abandoned} jobs still ran in threads; they start elsewhere in a few seconds"
            )


def announce(hub: Hub, name: str, queues: list[str] | dict[str, int] | None) -> None:
    """Say what is about to run, and loudly what nobody here can."""
    where = masked(hub.url.render_as_string(hide_password=True))
    listed = ", ".join(queues) if queues else "all"
    if isinstance(queues, dict):
        listed = ", ".join(f"{queue}:{weight}" for queue, weight in queues.items())
    say(f"worker of {name}: {len(hub.tasks)} tasks, queues: {listed}, database: {where}")
    for left_out in getattr(hub, "left_out", ()):
        say(f"warning: {left_out}")
    for waiting in insight.foreign(hub, list(queues) if queues else None):
        say(
            f"warning: {waiting.jobs} jobs of task {waiting.task!r} wait in queue {waiting.queue!r}, "
            "and this worker does not know it; start one whose --app declares it"
        )


def supervise(
    asked: Asked, name: str, processes: int, *, burst: bool, probe_port: int | None = None
) -> int:
    """Run this command in several processes, NAME-1 to NAME-N; the exit code.

    Each is an interpreter of its own: a fork would inherit what was opened or started before it.
    """
    from taskhub.queue.supervisor import Supervisor

    # -P: a taskhub.py in the working directory is not us.
    same = [sys.executable, "-P", "-m", "taskhub", "worker", *_given(asked)]
    commands = {
        f"{name}-{number + 1}": [
            *(*same, "--name", f"{name}-{number + 1}", "--supervisor-pid", str(os.getpid())),
            *(
                ()
                if probe_port is None
                else ("--probe-port", str(probe_port and probe_port + number))
            ),
        ]
        for number in range(processes)
    }
    hopeless = frozenset({USAGE, APP, SCHEMA})
    return Supervisor(commands, burst=burst, hopeless=hopeless).run()


def _given(asked: Asked) -> list[str]:
    """The options of this command line, but those that tell the processes apart."""
    words = ["--verbose"] if asked.verbose else []
    for option, value in (("--app", asked.app), ("--database-url", asked.database_url)):
        words += [] if value is None else [option, value]
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        key = parameter.name or ""
        if key in {"processes", "name", "probe_port"} or key not in ctx.params:
            continue
        if ctx.get_parameter_source(key) is not click.core.ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(parameter.opts[0])
            continue
        value = ctx.params[key]
        for one in value if parameter.multiple else (value,):
            words += [parameter.opts[0], str(one)]
    return words


def probes(told: str) -> Callable[[F], F]:
    """The options --probe-port and --probe-host of a verb that runs a worker."""

    def add(function: F) -> F:
        port = click.option(
            "--probe-port", type=click.IntRange(0, 65535),
            help=f"Serve /livez, /readyz, /startupz and /metrics; {told}",
        )  # fmt: skip
        host = click.option(
            "--probe-host", default="127.0.0.1", show_default=True, help="Where to serve them."
        )
        return port(host(function))

    return add


@verb(
    "worker",
    examples=(
        "taskhub worker --queue mail",
        "taskhub worker -A shop:hub -q mail,indexing -c 8 --burst",
        "taskhub worker -q indexing:4 -q mail:1",
        "taskhub worker --concurrency 50 --processes 4 --probe-port 9465",
    ),
)
@click.option(
    "--queue",
    "-q",
    "-Q",
    "queues",
    multiple=True,
    metavar="NAME[:WEIGHT]",
    help="Which queues; all if none. With weights each has its share of the jobs.",
)
@click.option("--concurrency", "-c", type=click.IntRange(min=1), help="Jobs at once.")
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Workers of so many jobs each; one that dies is started again.",
)
@click.option("--supervisor-pid", type=int, hidden=True, help="The process to end with.")
@click.option("--burst", is_flag=True, help="End when no job is ready.")
@click.option("--name", default="worker", show_default=True, help="How it is listed.")
@click.option(
    "--log-level", "-l", default="info", show_default=True,
    type=click.Choice(("debug", "info", "warning", "error"), case_sensitive=False),
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(("auto", "text", "json")),
    help="Default: the setting log_format; auto is json unless at a terminal.",
)  # fmt: skip
@probes("0 takes a free port, process N takes PORT+N-1.")
def worker(
    asked: Asked,
    queues: tuple[str, ...],
    concurrency: int | None,
    processes: int,
    supervisor_pid: int | None,
    burst: bool,
    name: str,
    log_level: str,
    log_format: str | None,
    probe_port: int | None,
    probe_host: str,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; the first signal drains, a second one stops at once."""
    set_up_logs(log_level, log_format)
    wanted = queue_names(queues)
    if processes > 1:
        sys.exit(supervise(asked, name, processes, burst=burst, probe_port=probe_port))
    if supervisor_pid is not None:
        from taskhub.queue.supervisor import end_with

        end_with(supervisor_pid)
    hub, app = asked.hub(concurrency=concurrency)
    # Before the first query: whose schema is behind is told so, with the command.
    with hub.engine.connect() as connection:
        from taskhub import migrations

        migrations.require(connection, hub.settings)
    announce(hub, app, wanted)
    made = hub.worker(queues=wanted, wait=not burst, name=name, signals=True)
    work(made, probed_at(probe_host, probe_port))
