"""`taskhub defer`: store a job from the command line, checked as a call in Python is."""

from __future__ import annotations

import difflib
import json
from typing import Any

import click

from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.output import write_object
from taskhub.queue import Task, UniqueKeyBusy
from taskhub.queue.options import DeferOptions


@verb(
    "defer",
    examples=(
        "taskhub defer document_indexing document_id=7",
        "taskhub -A shop:hub defer shop.send --json '{\"order_id\": 7}' --delay 60",
    ),
)
@click.argument("task_name", metavar="TASK")
@click.argument("pairs", metavar="KEY=VALUE", nargs=-1)
@click.option("--json", "as_json", metavar="OBJECT", help="The arguments as one JSON object.")
@click.option("--queue", help="Instead of the task's queue.")
@click.option("--priority", type=int, help="The higher runs first.")
@click.option("--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Not before then.")
@click.option("--lock", help="Instead of the task's lock.")
@click.option(
    "--unique", metavar="KEY", help="Store nothing while a job with this key waits or runs."
)
def defer(
    asked: Asked, task_name: str, pairs: tuple[str, ...], as_json: str | None, **given: Any
) -> None:
    """Store a job; values are read as the task's parameters are annotated."""
    hub, _ = asked.hub()
    task = hub.tasks.get(task_name)
    if task is None:
        close = difflib.get_close_matches(task_name, hub.tasks, n=1)
        hint = (
            f"; did you mean {close[0]}?" if close else f"; it has {', '.join(hub.tasks) or 'none'}"
        )
        raise click.UsageError(f"the hub has no task {task_name!r}{hint}")
    arguments = _object(as_json) if as_json is not None else {}
    arguments |= dict(_pair(task, pair) for pair in pairs)
    options: DeferOptions = {key: value for key, value in given.items() if value is not None}  # type: ignore[assignment]  # the names are the options' own
    try:
        job = task.options(**options).defer(**arguments)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except UniqueKeyBusy as error:
        raise Failed(str(error)) from error
    finally:
        hub.close()
    if not job.is_new:
        say(f"nothing was stored: job {job.id} has the unique key")
    write_object(asked, {"id": job.id, "task": task.name, "is_new": job.is_new}, table=str(job.id))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--json must be a JSON object: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError(f"--json must be a JSON object, got {type(value).__name__}")
    return value


def _pair(task: Task[..., Any], pair: str) -> tuple[str, Any]:
    name, mark, value = pair.partition("=")
    if not mark or not name:
        raise click.UsageError(f"an argument must be key=value, got {pair!r}")
    secret = task.parameters.secrets.get(name)
    if (task.parameters.annotation(name) if secret is None else secret.inner) is str:
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
