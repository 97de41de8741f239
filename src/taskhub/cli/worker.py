"""`taskhub worker`: run jobs until told to stop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys

import click

from taskhub.cli.errors import masked
from taskhub.cli.options import Asked, say, verb
from taskhub.queue import Hub, Worker, insight

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """A constant sentence and the values beside it, for people or as one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(asctime)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One record, with what was given as `extra`."""
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if self._as_json:
            known = {
                "at": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
            }
            told = {**known, "event": record.getMessage(), **extra}
            if record.exc_info:
                told["traceback"] = self.formatException(record.exc_info)
            return json.dumps(told, ensure_ascii=False, default=str)
        beside = " ".join(f"{name}={value}" for name, value in extra.items())
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.getMessage()} {beside}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logs(level: str, kind: str | None) -> None:
    """Send all logs to stderr: readable at a terminal, JSON lines elsewhere, unless `kind` says."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = kind == "json" if kind else not sys.stderr.isatty()
    handler.setFormatter(Lines(as_json=as_json))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def queue_names(given: tuple[str, ...]) -> list[str] | None:
    """The names in `-q mail,indexing -q other`; None stands for all queues."""
    names = [name.strip() for value in given for name in value.split(",") if name.strip()]
    for name in names:
        if ":" in name:
            raise click.BadParameter(f"a queue must be a name without weight, got {name!r}")
    return names or None


def work(made: Worker) -> None:
    """Run a worker to its end; a thread that cannot be stopped ends with the process."""
    asyncio.run(made.run())
    made.hub.close()
    if made.abandoned:
        say(f"{made.abandoned} jobs still ran in threads and were given back to the queue")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def announce(hub: Hub, name: str, queues: list[str] | None) -> None:
    """Say what is about to run, and loudly what nobody here can."""
    where = masked(hub.url.render_as_string(hide_password=True))
    listed = ", ".join(queues) if queues else "all"
    say(f"worker of {name}: {len(hub.tasks)} tasks, queues: {listed}, database: {where}")
    for left_out in getattr(hub, "left_out", ()):
        say(f"warning: {left_out}")
    for waiting in insight.foreign(hub, queues):
        say(
            f"warning: {waiting.jobs} jobs of task {waiting.task!r} wait in queue {waiting.queue!r}, "
            "and this worker does not know it; start one whose --app declares it"
        )


@verb(
    "worker",
    examples=(
        "taskhub worker --queue mail",
        "taskhub worker -A shop:hub -q mail,indexing -c 8 --burst",
    ),
)
@click.option(
    "--queue",
    "-q",
    "-Q",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Which queues; all if none.",
)
@click.option("--concurrency", "-c", type=click.IntRange(min=1), help="Jobs at once.")
@click.option("--burst", is_flag=True, help="End when no job is ready.")
@click.option("--name", default="worker", show_default=True, help="How it is listed.")
@click.option(
    "--log-level", "-l", default="info", show_default=True,
    type=click.Choice(("debug", "info", "warning", "error"), case_sensitive=False),
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(("text", "json")), help="Default: json unless at a terminal."
)
def worker(
    asked: Asked,
    queues: tuple[str, ...],
    concurrency: int | None,
    burst: bool,
    name: str,
    log_level: str,
    log_format: str | None,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; the first signal drains, a second one stops at once."""
    set_up_logs(log_level, log_format)
    hub, app = asked.hub(concurrency=concurrency)
    wanted = queue_names(queues)
    # Before the first query: whose schema is behind is told so, with the command.
    with hub.engine.connect() as connection:
        from taskhub import migrations

        migrations.require(connection, hub.settings)
    announce(hub, app, wanted)
    work(hub.worker(queues=wanted, wait=not burst, name=name, signals=True))
