"""How a worker id stands with the fleet: its lease, and what it was asked to do."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from taskhub.queue import lease, sql, versions
from taskhub.queue.crons import declared
from taskhub.queue.terms import Terms


async def register(terms: Terms, connection: psycopg.AsyncConnection[Any]) -> lease.Registration:
    """A new worker id, entered among the living with what it works on."""
    settings = terms.hub.settings
    return await lease.register(
        connection,
        settings.schema,
        name=terms.name,
        queues=terms.queues,
        tasks=list(terms.hub.tasks),
        crons=[cron.name for cron in declared(terms.hub)],
        versions=versions.told(terms.hub.tasks),
        concurrency=terms.concurrency,
        lease_seconds=settings.lease_seconds,
    )


class Standing:
    """One worker id among the living; its heartbeat runs in a thread, what it hears comes to the loop."""

    def __init__(self, terms: Terms, registration: lease.Registration) -> None:
        settings = terms.hub.settings
        self._terms = terms
        self._schema = settings.schema
        self._worker_id = registration.worker_id
        self._heartbeat = lease.Heartbeat(
            terms.conninfo,
            settings.schema,
            registration.worker_id,
            settings.lease_seconds,
            lost=self._on_lease_lost,
            asked_to_drain=self._on_asked_to_drain,
            counts=terms.pools.counts,
        )
        terms.pools.tell = self._on_left_behind
        self._lease_lost = False
        self._has_told_drain = False
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Start to renew the lease; the registration counts as the first renewal."""
        self._heartbeat.start()

    def stop(self) -> None:
        """Stop renewing it; call it after the last outcome was stored. Waits for nothing."""
        self._heartbeat.stop()

    @property
    def is_lost(self) -> bool:
        """Whether others may have taken the jobs, as far as this process can tell."""
        return self._lease_lost or self._heartbeat.is_over

    @property
    def awake_seconds(self) -> float | None:
        """How long this process has been back from its last pause; None: it never stood still."""
        return self._heartbeat.awake_seconds

    async def holds(self) -> bool:
        """Whether others still honour the lease; back from a pause, it is renewed first."""
        while self._heartbeat.is_late and not self.is_lost:
            self._heartbeat.hurry()
            await asyncio.sleep(0.01)
        return not self.is_lost

    async def tell_drain(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Say in the registry that no job is taken any more; between two turns, so it is true."""
        if not self._has_told_drain:
            await connection.execute(
                sql.load("note_draining", self._schema), {"worker_id": self._worker_id}
            )
            self._has_told_drain = True

    def _on_lease_lost(self) -> None:
        self._lease_lost = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._terms.wake)

    def _on_asked_to_drain(self, how: str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._terms.drain, how)

    def _on_left_behind(self) -> None:
        self._heartbeat.hurry()
        self._terms.wake()
