"""Metrics of one process: what its hub deferred and its worker ran."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from taskhub.queue import Hub, JobEvent, Worker
from taskhub.telemetry import families
from taskhub.telemetry.families import Family

# Above it new names of queues are counted as "other": they may be made of the user's data.
MOST_QUEUES = 200
OTHER = "other"
OUTCOMES = {
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.retried": "retried",
    "job.snoozed": "snoozed",
    "job.cancelled": "cancelled",
}


class WorkerMetrics:
    """Counts what happens in this process to the jobs of one hub, in a registry of its own.

    Args:
        registry: default: a new one, so that several hubs of a process do not mix.

    Attributes:
        registry: give it to whatever exposes it.
    """

    def __init__(self, hub: Hub, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry(auto_describe=True)
        self._hub = hub
        self._queues: set[str] = {task.queue for task in hub.tasks.values()}
        self._ended: dict[tuple[str, str, str], tuple[Any, Any, Any]] = {}
        self._runs = hub.settings.metrics_run_buckets_seconds
        self._deferred = self._counter(families.DEFERRED)
        self._started = self._counter(families.STARTED)
        self._finished = self._counter(families.FINISHED)
        self._retries = self._counter(families.RETRIES)
        self._duration = self._histogram(families.DURATION, self._runs)
        self._task_duration = self._histogram(families.TASK_DURATION, self._runs)
        self._wait = self._histogram(families.WAIT, hub.settings.metrics_wait_buckets_seconds)
        self._rescues = self._counter(families.RESCUES)
        self._unknown = self._counter(families.UNKNOWN)
        self._last_success = self._gauge(families.LAST_SUCCESS)
        self._say_what_runs()
        self._listen()

    def watch(self, worker: Worker) -> None:
        """Also tell how this worker of the hub is: its slots, its round trips, its errors."""
        pulse = worker.pulse
        self._gauge(families.SLOTS).set(worker.concurrency)
        self._gauge(families.BUSY).set_function(lambda: pulse.busy)
        self._gauge(families.READY).set_function(lambda: pulse.takes_jobs)
        fetch = self._histogram(families.FETCH, self._runs)
        pulse.on_turn.append(fetch.observe)
        self.registry.register(_Errors(worker))
        ProcessCollector(registry=self.registry)

    def _say_what_runs(self) -> None:
        build = self._gauge(families.BUILD)
        build.labels(version("taskhub"), platform.python_version()).set(1)

    def _listen(self) -> None:
        hub = self._hub
        hub.on("job.deferred", self._on_deferred)
        hub.on("job.started", self._on_started)
        for name in OUTCOMES:
            hub.on(name, self._on_ended)  # type: ignore[arg-type]  # the keys are names of events
        hub.on("job.rescued", lambda e: self._rescues.labels(self._queue(e.queue)).inc())
        hub.on("task.unknown", lambda e: self._unknown.labels(self._queue(e.queue)).inc())

    def _on_deferred(self, event: JobEvent) -> None:
        self._deferred.labels(self._queue(event.queue), self._task(event.task_name)).inc()

    def _on_started(self, event: JobEvent) -> None:
        queue = self._queue(event.queue)
        self._started.labels(queue, self._task(event.task_name)).inc()
        if event.wait_seconds is not None:
            self._wait.labels(queue).observe(max(event.wait_seconds, 0.0))

    def _on_ended(self, event: JobEvent) -> None:
        task = self._task(event.task_name)
        key = (self._queue(event.queue), task, OUTCOMES[event.name])
        known = self._ended.get(key)
        if known is None:  # looking labels up takes longer than all the rest
            known = self._ended[key] = (
                self._finished.labels(*key),
                self._duration.labels(*key),
                self._task_duration.labels(task),
            )
        finished, duration, task_duration = known
        finished.inc()
        # A job that was cancelled before it ran has no duration.
        if event.duration_seconds is not None:
            duration.observe(event.duration_seconds)
            task_duration.observe(event.duration_seconds)
        if event.name == "job.succeeded":
            self._last_success.labels(task).set(time.time())
        elif event.name == "job.retried":
            self._retries.labels(key[0], task).inc()

    def _task(self, name: str) -> str:
        return name if name in self._hub.tasks else OTHER

    def _queue(self, name: str) -> str:
        if name in self._queues:
            return name
        if len(self._queues) >= MOST_QUEUES:
            return OTHER
        self._queues.add(name)
        return name

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.meaning, family.labels, registry=self.registry)

    def _gauge(self, family: Family) -> Gauge:
        return Gauge(family.name, family.meaning, family.labels, registry=self.registry)

    def _histogram(self, family: Family, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            family.name, family.meaning, family.labels, buckets=buckets, registry=self.registry
        )


class _Errors(Collector):
    """What the worker counts by itself."""

    def __init__(self, worker: Worker) -> None:
        self._pulse = worker.pulse

    def collect(self) -> Iterator[Metric]:
        """The one counter."""
        family = families.DB_ERRORS
        yield CounterMetricFamily(family.name, family.meaning, value=self._pulse.database_errors)
