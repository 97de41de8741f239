"""Names out of the database while somebody types: quickly, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import click
from click.shell_completion import CompletionItem
from sqlalchemy import text

from taskhub.cli.options import Asked, say
from taskhub.queue import Hub
from taskhub.queue.names import Kind, known, nearest

# A shell that hangs on Tab is worse than one that knows nothing.
PATIENCE_SECONDS = 0.5
MOST_OFFERED = 200

Ask = Callable[[Hub], list[str]]


def complete(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names in use that begin with `incomplete`, for a parameter that takes such names."""
    name = parameter.name or ""
    group = ctx.parent.info_name if ctx.parent is not None else None
    names = _IN_GROUP.get(group or "") if name in ("name", "names") else _NAMES.get(name)
    if names is None:
        return []
    asked = ctx.find_object(Asked) or Asked()
    found = within_patience(lambda: _ask(asked, names))
    return [CompletionItem(n) for n in found if n.startswith(incomplete)][:MOST_OFFERED]


def within_patience(ask: Callable[[], list[str]], seconds: float = PATIENCE_SECONDS) -> list[str]:
    """What `ask` answers in time; nothing where it fails, and nothing is said of it."""
    answer: list[str] = []

    def run() -> None:
        try:
            answer.extend(ask())
        except Exception:  # noqa: BLE001 - whatever it is, the person at the keyboard only wanted a name
            return

    # A daemon: a database that does not answer must not hold the process, nor does its driver hear us.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return [] if thread.is_alive() else answer


def _ask(asked: Asked, names: Ask) -> list[str]:
    settings = asked.settings()
    if settings.database_url == "embedded":
        from taskhub import embedded

        # Tab must not start a server.
        settings = replace(settings, database_url=embedded.url(settings, start=False))
    hub = Hub(settings=settings)
    try:
        return names(hub)
    finally:
        hub.close()


def _of_kind(kind: Kind) -> Ask:
    return lambda hub: known(hub)[kind]


def _datasets(hub: Hub) -> list[str]:
    query = text(f"""
        SELECT name FROM {hub.settings.kb_schema}.datasets
        WHERE deleted_at IS NULL ORDER BY name LIMIT :most
    """)  # noqa: S608 - the name was checked by Settings
    with hub.engine.connect() as connection:
        return list(connection.scalars(query, {"most": MOST_OFFERED}))


def _schedules(hub: Hub) -> list[str]:
    return [state.name for state in hub.crons.states()]


_queues, _tasks, _keys = _of_kind("queue"), _of_kind("task"), _of_kind("key")
# Which parameters are names of what, in whatever verb they stand.
_NAMES: dict[str, Ask] = {
    "queue": _queues, "queues": _queues, "task": _tasks, "tasks": _tasks, "task_name": _tasks,
    "key": _keys, "dataset_name": _datasets, "datasets": _datasets,
}  # fmt: skip
# And of which a verb's group says it.
_IN_GROUP: dict[str, Ask] = {"cron": _schedules, "dataset": _datasets, "limits": _keys}


def hint(hub: Hub, *, queues: tuple[str, ...] = (), tasks: tuple[str, ...] = ()) -> None:
    """Say which names nobody knows and what was probably meant; for an answer that came out empty."""
    if not queues and not tasks:
        return
    names = known(hub)
    for kind, given, among in (
        ("queue", queues, names["queue"]),
        ("task", tasks, names["task"]),
    ):
        for name in given:
            if name in among or set(name) & set("*?"):
                continue
            close = nearest(name, among)
            told = f"; did you mean {close}?" if close else ""
            say(f"no {kind} {name!r} is known{told}")
