"""Metrics of the whole queue, read from its database: one collector for the cluster is enough."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from taskhub import db, migrations
from taskhub.queue import Hub, insight
from taskhub.queue.insight import asking
from taskhub.queue.states import QueueState, WorkerState
from taskhub.telemetry import families
from taskhub.telemetry.families import Family

logger = logging.getLogger("taskhub.telemetry")
MOST_QUEUES = 500
MOST_WORKERS = 500
WORKER_STATES = ("live", "draining", "drained", "lost")


class ClusterCollector(Collector):
    """What the database says of every queue, worker and schedule, on one connection of its own.

    However many ask, the database is asked once in `metrics_cache_seconds`. Every queue that is
    declared, or was seen once, is always there: with zeros while it is idle.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = _on_one_connection(hub)
        self._lock = threading.Lock()
        self._known = {task.queue for task in hub.tasks.values()}
        self._looked_at = float("-inf")
        self._seen: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        """The families; after a failed look nothing but taskhub_cluster_up 0."""
        with self._lock:
            if time.monotonic() - self._looked_at >= self._hub.settings.metrics_cache_seconds:
                self._seen = self._look()
                self._looked_at = time.monotonic()
            yield from self._seen

    def describe(self) -> list[Metric]:
        """The names, without asking the database."""
        return [GaugeMetricFamily(each.name, each.meaning) for each in families.CLUSTER]

    @property
    def is_up(self) -> bool:
        """Whether the last look reached the database."""
        return len(self._seen) > 1

    def close(self) -> None:
        """Close its connection."""
        self._hub.close()

    def _look(self) -> list[Metric]:
        began = time.monotonic()
        try:
            workers = insight.workers(self._hub, limit=MOST_WORKERS)
            found = [
                *_of_queues(self._queues(), workers, self._paused()),
                *_of_workers(workers),
                self._crons(),
                *self._schema(),
                *self._tables(),
            ]
        except (SQLAlchemyError, insight.TookTooLong) as error:
            logger.warning("metrics of the cluster are not there", extra={"error": str(error)})
            return [_gauge(families.UP, 0)]
        return [_gauge(families.UP, 1), *found, _gauge(families.LOOK, time.monotonic() - began)]

    def _paused(self) -> set[str]:
        limits = self._hub.limits()
        return {each.name for each in limits if each.paused_at is not None}

    def _queues(self) -> list[QueueState]:
        """The queues that hold something, and those that are known without."""
        found = {each.queue: each for each in insight.queues(self._hub, limit=MOST_QUEUES)}
        if len(self._known) < MOST_QUEUES:
            self._known |= found.keys()
        return [found.get(name) or _idle(name) for name in sorted({*found, *self._known})]

    def _crons(self) -> Metric:
        states = self._hub.crons.states()
        lags = {
            (each.name,): max((each.now - each.next_tick).total_seconds(), 0.0)
            for each in states
            if each.next_tick is not None
        }
        return _labelled(families.CRON_LAG, lags)

    def _schema(self) -> list[Metric]:
        with self._hub.engine.connect() as connection:
            heads = migrations.heads(connection, self._hub.settings)
            behind = migrations.behind(connection, self._hub.settings)
        return [
            _labelled(families.SCHEMA, {(head,): 1.0 for head in heads}),
            _gauge(families.BEHIND, float(behind is not None)),
        ]

    def _tables(self) -> list[Metric]:
        rows = asking.rows(self._hub, "measure_tables")
        return [
            _labelled(family, {(row["table_name"],): float(row[column]) for row in rows})
            for family, column in (
                (families.TABLE_BYTES, "bytes"),
                (families.DEAD_TUPLES, "dead_rows"),
                (families.TABLE_ROWS, "live_rows"),
            )
        ]


def alone(collector: ClusterCollector) -> CollectorRegistry:
    """A registry that holds the cluster's numbers and nothing else."""
    made = CollectorRegistry()
    made.register(collector)
    return made


def _on_one_connection(hub: Hub) -> Hub:
    """The same hub over a pool of one connection, which a burst of scrapes cannot outgrow."""
    own = copy.copy(hub)
    vars(own).pop("_autocommit", None)
    vars(own)["engine"] = db.engine(hub.url, hub.settings, pool_size=1, max_overflow=0)
    return own


def _of_queues(
    queues: Sequence[QueueState], workers: Sequence[WorkerState], paused: set[str]
) -> Iterator[Metric]:
    jobs: dict[tuple[str, str], float] = {}
    served: dict[str, list[WorkerState]] = {}
    for each in queues:
        states = {
            "ready": each.ready,
            "scheduled": each.scheduled,
            "running": each.running,
            "failed": each.failed,
        }
        jobs |= {(each.queue, state): float(count) for state, count in states.items()}
        served[each.queue] = [
            worker
            for worker in workers
            if worker.state == "live" and (worker.queues is None or each.queue in worker.queues)
        ]
    yield _labelled(families.QUEUE_JOBS, jobs)
    yield _labelled(families.OLDEST, {(e.queue,): e.oldest_ready_seconds or 0.0 for e in queues})
    yield _labelled(
        families.PAUSED, {(e.queue,): float(f"queue:{e.queue}" in paused) for e in queues}
    )
    counts = {(queue,): float(len(who)) for queue, who in served.items()}
    yield _labelled(families.QUEUE_WORKERS, counts)
    slots = {(q,): float(sum(w.concurrency or 0 for w in who)) for q, who in served.items()}
    yield _labelled(families.QUEUE_SLOTS, slots)
    busy = {(q,): float(sum(w.running for w in who)) for q, who in served.items()}
    yield _labelled(families.QUEUE_BUSY, busy)


def _of_workers(workers: Sequence[WorkerState]) -> Iterator[Metric]:
    states = dict.fromkeys(WORKER_STATES, 0.0)
    ages: dict[tuple[str, ...], float] = {}
    now = datetime.now(UTC)
    for each in workers:
        states[each.state] = states.get(each.state, 0.0) + 1
        if each.heartbeat_at is not None:
            key = (each.name or "procrastinate",)
            age = max((now - each.heartbeat_at).total_seconds(), 0.0)
            ages[key] = max(age, ages.get(key, 0.0))
    yield _labelled(families.WORKERS, {(state,): count for state, count in states.items()})
    yield _gauge(families.STALLED, sum(w.running for w in workers if w.state == "lost"))
    yield _labelled(families.HEARTBEAT, ages)


def _idle(queue: str) -> QueueState:
    return QueueState(
        queue=queue,
        ready=0,
        scheduled=0,
        running=0,
        failed=0,
        oldest_ready_seconds=None,
        workers=0,
    )


def _gauge(family: Family, value: float) -> Metric:
    return GaugeMetricFamily(family.name, family.meaning, value=value)


def _labelled(family: Family, values: Mapping[Any, float]) -> Metric:
    """A family of gauges; the keys are tuples of its labels' values."""
    metric = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric
