"""Whether the work is healthy, and how each queue does: one screen."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, RowMapping

from taskhub.queue.insight import asking, depths
from taskhub.queue.minutes import Durations
from taskhub.queue.states import QueueState
from taskhub.settings import Settings

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MINUTES = 60
# Rates are of so many of the last minutes that are added up.
RATE_MINUTES = 5
# Below so many runs a share of failures says little.
FEWEST_RUNS = 20
HIGH_FAILURE_RATE = 0.1
Health = Literal["healthy", "degraded", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        name: a word for programs: "unserved", "late", "failing", "paused", "lost_workers", "held_key".
        text: a sentence with the numbers.
        about: the queue, the key; None where it is about the whole hub.
        filter: of jobs that show it, as `filter_text` reads it.
        facts: the numbers in the text, by name.
    """

    name: str
    health: Health
    text: str
    about: str | None = None
    filter: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOverview:
    """One queue.

    Attributes:
        state: what it holds now.
        objective_seconds: how long a ready job may wait there.
        in_per_minute, out_per_minute: jobs deferred and runs ended, of the last five minutes.
        failure_rate: the share of this hour's runs that failed, were retried or lost; None: no runs.
        p50_seconds, p95_seconds: of this hour's runs, to a tenth.
        series: runs that ended in each of the last sixty minutes, the oldest first.
        paused_at: None where it is not paused.
    """

    state: QueueState
    objective_seconds: float
    in_per_minute: float
    out_per_minute: float
    failure_rate: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    series: tuple[int, ...]
    runs: int
    slots: int
    paused_at: datetime | None
    paused_until: datetime | None
    pause_reason: str | None

    @property
    def is_late(self) -> bool:
        """Whether a ready job waits for longer than the objective."""
        return (self.state.oldest_ready_seconds or 0.0) > self.objective_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole hub.

    Attributes:
        at: the database's clock.
        minutes_until: up to when rates, series and durations are added up; a worker does that. None:
            never yet.
    """

    health: Health
    findings: list[Finding]
    queues: list[QueueOverview]
    at: datetime
    minutes_until: datetime | None
    lost_workers: int


@dataclass(frozen=True, slots=True)
class _Facts:
    now: datetime
    until_at: datetime
    known: Mapping[str | None, RowMapping]
    minutes: Mapping[str, Sequence[RowMapping]]
    durations: Mapping[str, Durations]


def overview(hub: Hub) -> Overview:
    """The health of the hub with its reasons, the worst first, and each queue.

    Raises:
        TookTooLong: the database did not answer within question_seconds.
    """
    with asking.moment(hub) as connection:
        [clock] = asking.read(hub, connection, "read_minutes_until")
        facts = _facts(hub, connection, clock["now"], clock["until_at"])
        found = depths.states(depths.measure(hub, connection), list(facts.known.values()))
        keys = asking.read(hub, connection, "held_keys", limit=depths.MOST_HELD)
        workers = asking.read(hub, connection, "list_workers", stopped=False, ids=None, limit=1000)
    rows = [_row(hub, state, facts) for state in found]
    lost = sum(worker["state"] == "lost" for worker in workers)
    findings = [finding for row in rows for finding in _of_queue(row)]
    findings += _of_hub(lost, [key["name"] for key in keys])
    findings.sort(key=lambda one: one.health != "bad")
    return Overview(
        health=findings[0].health if findings else "healthy",
        findings=findings,
        queues=rows,
        at=facts.now,
        minutes_until=clock["until_at"],
        lost_workers=lost,
    )


def _facts(hub: Hub, connection: Connection, now: datetime, until_at: datetime | None) -> _Facts:
    until_at = until_at or now.replace(second=0, microsecond=0)
    since = until_at - timedelta(minutes=MINUTES)
    minutes: dict[str, list[RowMapping]] = defaultdict(list)
    for row in asking.read(hub, connection, "minutes_of_queues", since=since):
        minutes[row["queue"]].append(row)
    took = asking.read(hub, connection, "durations_since", since=since, by_task=False)
    return _Facts(
        now=now,
        until_at=until_at,
        known={row["queue"]: row for row in asking.read(hub, connection, "live_queues")},
        minutes=minutes,
        durations={row["name"]: Durations(row["buckets"], row["counts"]) for row in took},
    )


def _row(hub: Hub, state: QueueState, facts: _Facts) -> QueueOverview:
    series, came, left, runs, bad = [0] * MINUTES, 0, 0, 0, 0
    for row in facts.minutes.get(state.queue, ()):
        place = MINUTES - round((facts.until_at - row["minute"]).total_seconds() / 60)
        ended = row["succeeded"] + row["failed"] + row["retried"]
        runs, bad = runs + ended, bad + row["failed"] + row["retried"]
        if 0 <= place < MINUTES:
            series[place] = ended
        if place >= MINUTES - RATE_MINUTES:
            came, left = came + row["deferred"], left + ended
    took = facts.durations.get(state.queue, Durations((), ()))
    own, shared = facts.known.get(state.queue), facts.known.get(None)
    return QueueOverview(
        state=state,
        objective_seconds=objective_seconds(hub.settings, state.queue),
        in_per_minute=came / RATE_MINUTES,
        out_per_minute=left / RATE_MINUTES,
        failure_rate=bad / runs if runs else None,
        p50_seconds=took.percentile(0.5),
        p95_seconds=took.percentile(0.95),
        series=tuple(series),
        runs=runs,
        slots=sum(int(row["slots"]) for row in (own, shared) if row is not None),
        paused_at=own["paused_at"] if own is not None else None,
        paused_until=own["paused_until"] if own is not None else None,
        pause_reason=own["pause_reason"] if own is not None else None,
    )


def objective_seconds(settings: Settings, queue: str) -> float:
    """How long a ready job of a queue may wait: by alert_oldest_by_queue, else alert_oldest_seconds."""
    for pattern, seconds in settings.alert_oldest_by_queue.items():
        if fnmatch.fnmatchcase(queue, pattern):
            return float(seconds)
    return settings.alert_oldest_seconds


def _of_queue(row: QueueOverview) -> list[Finding]:
    state, name = row.state, row.state.queue
    facts: dict[str, Any]
    jobs, found = f"queue:{name} state:todo", []
    if row.paused_at is not None:
        if state.ready:
            text = f"queue {name} is paused and {state.ready} jobs wait in it"
            found.append(Finding("paused", "degraded", text, name, jobs, {"jobs": state.ready}))
    elif state.ready and not state.workers:
        text = f"{state.ready} jobs wait in queue {name}, which no live worker serves"
        found.append(Finding("unserved", "bad", text, name, jobs, {"jobs": state.ready}))
    elif row.is_late:
        waited = state.oldest_ready_seconds or 0.0
        text = (
            f"the oldest ready job of queue {name} waits for {waited:.0f} s, "
            f"{row.objective_seconds:.0f} s are allowed"
        )
        facts = {"seconds_waited": waited, "seconds_allowed": row.objective_seconds}
        found.append(Finding("late", "degraded", text, name, jobs, facts))
    if row.runs >= FEWEST_RUNS and (row.failure_rate or 0.0) > HIGH_FAILURE_RATE:
        text = f"{row.failure_rate:.0%} of the last hour's {row.runs} runs in queue {name} failed"
        asked = f"queue:{name} state:failed since:1h"
        facts = {"share": row.failure_rate, "runs": row.runs}
        found.append(Finding("failing", "degraded", text, name, asked, facts))
    return found


def _of_hub(lost: int, keys: Sequence[str]) -> list[Finding]:
    found = []
    if lost:
        text = f"{lost} workers do not renew their lease; their jobs come back by themselves"
        found.append(Finding("lost_workers", "degraded", text, facts={"workers": lost}))
    found += [
        Finding("held_key", "degraded", f"jobs of limit {key} are held back", key) for key in keys
    ]
    return found
