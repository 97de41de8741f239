"""The way around the queue: somebody who looks and tells where no worker can, because it is the trouble."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from taskhub.queue import Hub
from taskhub.queue.why.words import span
from taskhub.system import alerts, notices, rules, sinks
from taskhub.system.findings import Finding, Reader, has_tables
from taskhub.system.sinks.refusals import Refused, UnknownSink

logger = logging.getLogger("taskhub.watch")

SILENT = "monitor_silent"
# Held for one look: of several watchers one tells.
LOCK = "taskhub watch"
# A database is restarted now and then; that nobody need hear of.
FAILED_LOOKS = 2
MOST_WAITING = 100
EVERY_SECONDS = 30.0
# A look that hangs in a sink ends with the process.
JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look of the watcher came to.

    Attributes:
        state: "quiet": the monitor looks by itself; "looked": it does not, so the watcher did;
            "elsewhere": another watcher looks now; "no tables": the database keeps no alerts;
            "away": the database does not answer.
        sent: how many notices were taken by a sink.
        waiting: how many wait for the next look, because their sink refused them.
    """

    state: str
    sent: int
    waiting: int


class Watch:
    """Looks by the monitor's rules while the monitor does not, and sends what is to be told by itself.

    What a sink refuses is tried again at the next look; it is kept in this process alone.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settings = hub.settings
        self._unsent: list[tuple[str, sinks.Message]] = []
        self._failures = 0
        self._told_away_at: float | None = None

    def look(self) -> Look:
        """Look once, and send; never raises for a database that is away or a sink that refuses."""
        try:
            state, told = self._look()
            if self._told_away_at is not None:
                self._tell("resolved: the database answers again", ["the database answers again"])
            self._failures, self._told_away_at = 0, None
            if told is not None:
                self._tell(*told)
        except DBAPIError as error:
            state = "away"
            self._note_away(error)
        return Look(state, self._send(), len(self._unsent))

    def _look(self) -> tuple[str, tuple[str, Sequence[str]] | None]:
        hub = self._hub
        if not has_tables(hub):
            return "no tables", None
        with Session(hub.engine) as session, session.begin():
            ago = alerts.seconds_since_look(session)
            if ago is not None and ago < self._settings.watch_silent_seconds:
                return "quiet", None
            query = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
            if not session.scalar(query, {"name": f"{LOCK} {self._settings.kb_schema}"}):
                return "elsewhere", None
            found, broken = rules.look(Reader(hub))
            found[SILENT] = _silent(ago)
            quiet = timedelta(minutes=self._settings.alert_quiet_minutes)
            changes = alerts.apply(session, found, quiet=quiet, unseen_rules=broken)
            notice = notices.of_alerts(session, changes, self._settings)
            return "looked", None if notice is None else (notice.subject, tuple(notice.lines))

    def _note_away(self, error: DBAPIError) -> None:
        self._failures += 1
        now = time.monotonic()
        quiet = self._settings.alert_quiet_minutes * 60
        was_told = self._told_away_at is not None and now - self._told_away_at < quiet
        if self._failures < FAILED_LOOKS or was_told:
            return
        self._told_away_at = now
        why = " ".join(str(error.orig).split())[:200]
        line = f"critical: the database does not answer: {why}; is it running? nothing is done meanwhile"
        self._tell("the database does not answer", [line])

    def _tell(self, subject: str, lines: Sequence[str]) -> None:
        mark = f"[{self._settings.mail_brand}]"
        now = datetime.now(UTC)
        for sink in sinks.names(self._settings):
            message = sinks.Message(
                key=f"watch-{now.timestamp():.6f}-{sink}",
                kind="alerts",
                subject=subject if subject.startswith(mark) else f"{mark} {subject}",
                lines=tuple(lines),
                created_at=now,
            )
            self._unsent.append((sink, message))
        del self._unsent[:-MOST_WAITING]

    def _send(self) -> int:
        sent, waiting = 0, []
        for sink, message in self._unsent:
            try:
                sinks.send(self._settings, sink, message)
            except (Refused, UnknownSink) as error:
                logger.warning("notice not sent", extra={"sink": sink, "reason": str(error)})
                is_final = isinstance(error, UnknownSink) or error.is_final
                waiting += [] if is_final else [(sink, message)]
            else:
                sent += 1
        self._unsent = waiting
        return sent


@contextmanager
def watching(hub: Hub, *, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Watch from a thread of this process meanwhile, where anybody is to be told of anything."""
    if not sinks.names(hub.settings):
        yield
        return
    over = threading.Event()
    watcher = Watch(hub)

    def run() -> None:
        while not over.wait(every_seconds):
            try:
                watcher.look()
            except Exception:  # whatever it is, the next look may go well
                logger.exception("look failed")

    thread = threading.Thread(target=run, name="taskhub watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(JOIN_SECONDS)


def _silent(seconds: float | None) -> Finding:
    since = "has never looked" if seconds is None else f"has not looked for {span(seconds)}"
    return Finding(
        severity="critical",
        text=f"the monitor {since}: no worker does what is in the queue 'system'",
        remedy="taskhub worker --queue system; is the queue paused? see `taskhub status`",
    )
