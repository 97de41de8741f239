"""Jobs that failed for good, and schedules that came and went, told to Sentry."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import sentry_sdk
from sentry_sdk.utils import event_from_exception

from taskhub.queue import Hub, JobEvent
from taskhub.queue.crons import declared
from taskhub.queue.executors import FailedInChild

END_SECONDS = 2.0
# Jobs of schedules whose start was told and whose end was not.
MOST_OPEN = 1_000


def instrument(hub: Hub) -> Sentry:
    """Tell Sentry of this hub's jobs from now on, in the process where they run.

    With the setting sentry_dsn by a client of its own, else by the program's, as `sentry_sdk.init` made it.
    What will be retried is not told. An event has our fingerprint and the job's task, queue, id and
    attempt; neither arguments nor local variables nor breadcrumbs, which may be of other jobs.
    """
    return Sentry(hub)


class Sentry:
    """What one hub tells; see `instrument`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._own = _client(hub) if hub.settings.sentry_dsn else None
        self._monitors = _monitors(hub)
        self._open: dict[int, str] = {}
        hub.on("job.failed", self._on_failed)
        if self._monitors:
            hub.on("job.started", self._on_started)
            hub.on("job.succeeded", self._on_succeeded)

    def close(self) -> None:
        """Send what is on its way, for two seconds at most; the program's own client stays open."""
        if self._own is not None:
            self._own.close(timeout=END_SECONDS)
        else:
            sentry_sdk.flush(timeout=END_SECONDS)

    @property
    def _client(self) -> Any:
        return self._own or sentry_sdk.get_client()

    def _on_failed(self, event: JobEvent) -> None:
        self._check_out(event, "error")
        client = self._client
        told, hint = _told(event, client.options)
        told |= {
            "level": "error",
            "transaction": event.task_name,
            "tags": {"task": event.task_name, "queue": event.queue, "attempt": str(event.attempt)},
            "contexts": {
                "job": {
                    "job_id": event.job_id,
                    "task": event.task_name,
                    "queue": event.queue,
                    "attempt": event.attempt,
                    "duration_seconds": event.duration_seconds,
                    "wait_seconds": event.wait_seconds,
                }
            },
        }
        if event.failure is not None and event.failure.fingerprint:
            told["fingerprint"] = [event.task_name, event.failure.fingerprint]
        client.capture_event(told, hint=hint)

    # Schedules

    def _on_started(self, event: JobEvent) -> None:
        if event.task_name in self._monitors:
            while len(self._open) >= MOST_OPEN:
                del self._open[next(iter(self._open))]
            check_id = self._open.setdefault(event.job_id, uuid4().hex)
            self._check_in(event, check_id, "in_progress")

    def _on_succeeded(self, event: JobEvent) -> None:
        self._check_out(event, "ok")

    def _check_out(self, event: JobEvent, status: str) -> None:
        if (check_id := self._open.pop(event.job_id, None)) is not None:
            self._check_in(event, check_id, status)

    def _check_in(self, event: JobEvent, check_id: str, status: str) -> None:
        client = self._client
        client.capture_event(
            {
                "type": "check_in",
                "monitor_slug": _slug(event.task_name),
                "check_in_id": check_id,
                "status": status,
                "duration": event.duration_seconds,
                "environment": client.options.get("environment"),
                "release": client.options.get("release"),
                "monitor_config": self._monitors[event.task_name],
            }
        )


def _client(hub: Hub) -> Any:
    return sentry_sdk.Client(
        dsn=hub.settings.sentry_dsn,
        environment=hub.settings.sentry_environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
    )


def _told(event: JobEvent, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The error as Sentry takes it, without local variables: the arguments are among them."""
    error, failure = event.error, event.failure
    if error is None or isinstance(error, FailedInChild):
        # It was raised in another process, and all that is left of it is text.
        told: dict[str, Any] = {"extra": {}}
        if failure is not None:
            value = {"type": failure.error_class, "value": failure.error_message}
            told["exception"] = {"values": [value]}
            told["extra"]["traceback"] = failure.traceback
        return told, {}
    found, hint = event_from_exception(
        error,
        client_options={**options, "include_local_variables": False},
        mechanism={"type": "taskhub", "handled": False},
    )
    return dict(found), hint


def _monitors(hub: Hub) -> dict[str, dict[str, Any]]:
    """What Sentry should expect, by task; a task with several schedules is left out."""
    found: dict[str, dict[str, Any]] = {}
    several: set[str] = set()
    for cron in declared(hub):
        name = cron.task.name
        expression = str(getattr(cron.schedule, "expression", ""))
        if name in found:
            several.add(name)
        if len(expression.split()) == 5:
            schedule = {"type": "crontab", "value": expression}
            found[name] = {"schedule": schedule, "timezone": cron.schedule.zone}
    return {name: config for name, config in found.items() if name not in several}


def _slug(name: str) -> str:
    """A name as Sentry lets monitors be called: of a long one its end, which tells more."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower())[-50:].strip("-")
