"""The tick: one round trip that stores what a worker has finished and claims what fits."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg

from taskhub.queue import acks, sql
from taskhub.queue.acks import Ack, Claimed
from taskhub.queue.shares import Shares

Place = TypeVar("Place")
LONGEST_SWEEP_PAUSE = 1.0
# A sweep walks over what is dead in the index. While somebody holds an old snapshot, nothing dead
# goes away, and sweeps take longer and longer: they may have a tenth of a worker's time.
SWEEP_SHARE = 0.1
CHEAP_SWEEP_SECONDS = 0.005
MOST_LANES = 64
LANE_MEMORY_SECONDS = 60.0
NOTIFY_PAUSE = 0.05
# Ids and dates become visible out of order, by as much as their transactions last: between two looks
# at everything a look begins where one ended this long ago, or twice as long.
TRAIL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tick gave.

    Attributes:
        stored: ids of the acks that were stored; None is all of them.
        is_full: whether all slots were filled, or `has_more`, so that more may be ready.
        was_complete: whether every ready job was within reach, so that no claim means none is ready.
        next_due_seconds: when the next future job is due; None: there is none, or nobody looked.
        has_suspect: a job waits that must be claimed alone.
        has_more: jobs of a task without room were set aside, and there is more behind them.
    """

    claimed: list[Claimed]
    stored: frozenset[int] | None
    is_full: bool
    was_complete: bool
    next_due_seconds: float | None
    has_suspect: bool
    has_more: bool


@dataclass(slots=True)
class _Lane:
    """Behind which place to begin in one queue and priority: a hint, never a filter for good."""

    behind: float
    seen_at: float


class _Trail(Generic[Place]):
    """Where looks ended, now and some seconds ago: hints, as lanes are."""

    def __init__(self, start: Place) -> None:
        self._start: Place = start
        self._past: Place = start
        self._between: Place = start
        self._end: Place = start
        self._turned_at = float("-inf")
        self._seconds = 0.0

    def begin(self, sweep: int, now: float) -> Place:
        """Where to begin now."""
        if now - self._turned_at >= TRAIL_SECONDS:
            self._past, self._between = self._between, self._end
            self._turned_at, self._seconds = now, 0.0
        if sweep == 2:
            return self._start
        return self._past if sweep and self._seconds <= CHEAP_SWEEP_SECONDS else self._end

    def ended(self, end: Place | None, seconds: float) -> None:
        """A look went on to `end`, None if it met nothing, and took so long."""
        self._seconds = seconds
        if end is not None:
            self._end = end


class Ticker:
    """Ticks for one worker id, and remembers how far it has looked.

    Args:
        weights: of its queues, where each has its share of the slots.
        ageing_seconds: how long a ready job waits for one priority step; 0: for ever.
    """

    def __init__(
        self,
        schema: str,
        worker_id: int,
        queues: Sequence[str] | None,
        *,
        weights: Mapping[str, int] | None = None,
        ageing_seconds: float = 0.0,
    ) -> None:
        self._query = sql.load("tick", schema)
        self._worker_id = worker_id
        self._queues = list(queues) if queues is not None else None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._shares = Shares(weights) if weights else None
        self._ageing_seconds = ageing_seconds
        self._notes = _Trail(0)
        self._turns = _Trail(0)
        self._due = _Trail("-infinity")
        self._swept_at = self._saw_all_at = float("-inf")
        self._sweep_seconds = 0.0
        self._notified_at = float("-inf")

    async def tick(
        self,
        connection: psycopg.AsyncConnection[Any],
        done: Sequence[Ack],
        slots: int,
        *,
        alone: bool = False,
        must_sweep: bool = False,
    ) -> Answer:
        """Store `done` and claim up to `slots` jobs: by priority, then in the order of their ids.

        With weights by those first, and within a queue so; jobs with fair keys in that of their turns.

        Storing again what may have been stored before is safe: a claim is stored once. With `alone`
        one job that other workers were lost with, or none.
        """
        now = time.monotonic()
        sweep = 2 if must_sweep else self._sweep_mode(now)
        order, drawn = self._shares.draw(slots) if self._shares else (self._queues, None)
        parameters = {
            **acks.parameters(done),
            **self._where_to_look(sweep, now),
            **self._of_whom(order, drawn),
            **_what(slots, sweep, alone=alone, notify=self._may_notify(now)),
        }
        cursor = await connection.execute(self._query, parameters)
        *rows, last = await cursor.fetchall()
        told, claimed = json.loads(last[6]), list(map(Claimed._make, rows))
        if slots:
            self._remember(claimed, told, now, sweep)
            self._took(drawn if not alone else None, claimed)
        return Answer(
            claimed,
            frozenset(told["stored_ids"] or ()) if _is_partly_stored(told, done) else None,
            told["has_more"] or 0 < slots <= len(claimed),
            sweep == 2 or not slots,
            told["next_due_seconds"],
            bool(told["suspect"]),
            told["has_more"],
        )

    def _of_whom(
        self, order: Sequence[str] | None, drawn: Mapping[str, int] | None
    ) -> dict[str, Any]:
        return {
            "worker_id": self._worker_id,
            "queues": order,
            "shares": json.dumps(drawn) if drawn else None,
            "ageing": self._ageing_seconds,
        }

    def _took(self, drawn: Mapping[str, int] | None, claimed: Sequence[Claimed]) -> None:
        if self._shares and drawn:
            self._shares.took(drawn, (job.queue_name for job in claimed))

    def _sweep_mode(self, now: float) -> int:
        pause = 0.0
        if self._sweep_seconds > CHEAP_SWEEP_SECONDS:
            pause = self._sweep_seconds * (1 / SWEEP_SHARE - 1)
        if now - self._swept_at < pause:
            return 0
        return 2 if now - self._saw_all_at >= LONGEST_SWEEP_PAUSE else 1

    def _may_notify(self, now: float) -> bool:
        # Every commit that notifies takes a lock of the whole server.
        if now - self._notified_at < NOTIFY_PAUSE:
            return False
        self._notified_at = now
        return True

    def _where_to_look(self, sweep: int, now: float) -> dict[str, Any]:
        lanes = self._known_lanes() if sweep < 2 else []
        return {
            "lane_queues": [key[0] for key, _ in lanes],
            "lane_priorities": [key[1] for key, _ in lanes],
            "lane_behind": [lane.behind for _, lane in lanes],
            "note_from": self._notes.begin(sweep, now),
            "fair_from": self._turns.begin(sweep, now),
            "due_from": self._due.begin(sweep, now),
        }

    def _known_lanes(self) -> list[tuple[tuple[str, int], _Lane]]:
        best_first = sorted(self._lanes.items(), key=lambda item: (-item[0][1], item[1].behind))
        return best_first[:MOST_LANES]

    def _remember(
        self,
        claimed: Sequence[Claimed],
        told: dict[str, Any],
        now: float,
        sweep: int,
    ) -> None:
        # In the order of the claims: where a sweep found old ids, the last one met is where to go on.
        for key, place in {(job.queue_name, job.priority): job.place for job in claimed}.items():
            self._lanes[key] = _Lane(place, now)
        looked = told["looked_seconds"]
        self._notes.ended(told["note_upto"] and told["note_upto"] + 1, looked)
        self._turns.ended(told["fair_upto"] and told["fair_upto"] + 1, looked)
        self._due.ended(told["due_upto"], looked)
        if sweep == 2 or told["swept_seconds"] is not None:
            self._swept_at = time.monotonic()
            self._saw_all_at = self._swept_at if sweep == 2 else self._saw_all_at
            self._sweep_seconds = (told["swept_seconds"] or 0.0) + looked
            self._lanes = {
                key: lane
                for key, lane in self._lanes.items()
                if now - lane.seen_at < LANE_MEMORY_SECONDS
            }


def _what(slots: int, sweep: int, *, alone: bool, notify: bool) -> dict[str, Any]:
    return {"slots": slots, "sweep": sweep, "alone": alone, "notify": notify}


def _is_partly_stored(told: dict[str, Any], done: Sequence[Ack]) -> bool:
    return (told["stored"] or 0) < len(done)
