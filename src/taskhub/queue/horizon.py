"""Who keeps vacuum from cleaning up: one forgotten transaction makes every claim slower."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.horizon")

EVERY_SECONDS = 60.0
QUIET_SECONDS = 900.0
# Below these a hold is everyday work: a report, a backup, a pause in a debugger.
HELD_SECONDS = 300.0
HELD_TRANSACTIONS = 1_000_000
DEAD_ROWS = 20_000
MOST_HOLDERS = 20
MAX_QUERY = 80

# Texts, numbers and dollar quotes: what a statement may hold of people's data.
_LITERALS = re.compile(
    r"(?i:\be)'(?:\\.|''|[^'\\])*'?|'(?:[^']|'')*'?|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|\b\d[\w.]*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Something that keeps dead rows in place.

    Attributes:
        kind: "session", "prepared transaction", "standby" or "replication slot".
        pid: the backend; None for a prepared transaction and an inactive slot.
        name: the session's application_name, the transaction's gid, the slot's name.
        since: when its transaction began; None where the server does not tell.
        xmin_age: how many transactions ago; dead rows younger than that stay.
        query: the beginning of its last statement, with ? for every value.
    """

    kind: str
    pid: int | None
    name: str | None
    state: str | None
    since: datetime | None
    xmin_age: int
    query: str | None

    @property
    def seconds(self) -> float | None:
        """For how long, on this machine's clock."""
        return None if self.since is None else (datetime.now(UTC) - self.since).total_seconds()

    @property
    def is_old(self) -> bool:
        """Whether it is longer than everyday work takes."""
        seconds = self.seconds
        return (
            self.xmin_age >= HELD_TRANSACTIONS
            if seconds is None
            else seconds >= HELD_SECONDS or self.xmin_age >= HELD_TRANSACTIONS
        )

    def told(self) -> str:
        """One line that says who it is and how to end it."""
        known = [
            f"pid {self.pid}" if self.pid is not None else "",
            repr(self.name) if self.name else "",
            self.state or "",
            f"for {self.seconds:.0f} s" if self.seconds is not None else "",
            f"{self.xmin_age} transactions back",
        ]
        what = f"{self.kind} {', '.join(part for part in known if part)}"
        return f"{what}: {self.query}" if self.query else what

    @property
    def remedy(self) -> str:
        """What an operator does about it."""
        if self.kind == "session":
            return f"SELECT pg_terminate_backend({self.pid})"
        if self.kind == "prepared transaction":
            return f"ROLLBACK PREPARED '{(self.name or '').replace(chr(39), chr(39) * 2)}'"
        if self.kind == "standby":
            return "end the long query on the standby, or set hot_standby_feedback = off there"
        return f"SELECT pg_drop_replication_slot('{self.name}')"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that does harm: it is old, and dead rows pile up behind it."""

    holder: Holder
    dead_rows: int

    def __str__(self) -> str:
        return (
            f"vacuum cannot remove {self.dead_rows} dead rows, held by {self.holder.told()}; "
            f"{self.holder.remedy}"
        )


def holders(hub: Hub, *, limit: int = MOST_HOLDERS) -> list[Holder]:
    """Everything that holds the vacuum horizon of the hub's database, the oldest first."""
    rows = hub.read("horizon_holders", limit=limit)
    return [Holder(**{**row, "query": without_values(row["query"])}) for row in rows]


def hold(hub: Hub) -> Hold | None:
    """The oldest holder, if it has held for long and the queue's dead rows pile up; else None."""
    oldest = next(iter(holders(hub, limit=1)), None)
    if oldest is None or not oldest.is_old:
        return None
    [row] = hub.read("count_dead_rows")
    return Hold(oldest, row["dead_rows"]) if row["dead_rows"] >= DEAD_ROWS else None


def warn_if_due(hub: Hub) -> Hold | None:
    """Look once a minute, by one worker of the fleet, and log one warning of a hold that does harm.

    After a warning nobody looks for a quarter of an hour: a hold is named by one worker, not by each.
    None: not this one's turn, or all is well.
    """
    if hub.write_one("take_turn", name="horizon", every_seconds=EVERY_SECONDS) is None:
        return None
    found = hold(hub)
    if found is not None:
        hub.write("postpone_turn", name="horizon", seconds=QUIET_SECONDS)
        logger.warning(
            "the vacuum horizon is held",
            extra={
                "pid": found.holder.pid,
                "holder": found.holder.told(),
                "dead_rows": found.dead_rows,
                "remedy": found.holder.remedy,
            },
        )
    return found


def without_values(query: str | None) -> str | None:
    """The beginning of a statement, on one line, with ? for every value in it."""
    if not query:
        return None
    text = " ".join(_LITERALS.sub("?", query).split())
    return text if len(text) <= MAX_QUERY else text[:MAX_QUERY] + "…"
