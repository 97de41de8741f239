"""Probes and metrics over HTTP, in a worker's own loop: /livez, /readyz, /startupz, /metrics."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from taskhub import migrations
from taskhub.queue import Worker

logger = logging.getLogger("taskhub.telemetry")
# Answers are short, and a scrape that hangs must not hold up the end of the worker.
END_SECONDS = 1


class Probes:
    """What the three probes answer for one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._asked: asyncio.Task[str | None] | None = None

    async def live(self, _: Request) -> Response:
        """Whether the loop comes round; an outage of the database is no reason to be restarted."""
        silent = self._worker.pulse.silent_seconds
        if silent <= self._worker.hub.settings.probe_live_seconds:
            return _answer(None)
        return _answer(f"the worker's loop has not come round for {silent:.0f} s")

    async def started(self, _: Request) -> Response:
        """Whether it has been entered among the living."""
        return _answer(None if self._worker.pulse.has_started else "the worker is starting")

    async def ready(self, _: Request) -> Response:
        """Whether it takes jobs: connected, with a schema that serves it, not draining."""
        pulse = self._worker.pulse
        if not pulse.has_started:
            return _answer("the worker is starting")
        if not pulse.takes_jobs:
            return _answer("the worker drains")
        if not pulse.is_connected:
            return _answer("the worker has lost its database")
        return _answer(await self._refusal())

    async def _refusal(self) -> str | None:
        """What the database says against it; asked once however many probes wait for it."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(asyncio.to_thread(self._ask))
        seconds = self._worker.hub.settings.probe_database_seconds
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), seconds)
        except TimeoutError:
            return f"the database gave no answer within {seconds:g} s"

    def _ask(self) -> str | None:
        hub = self._worker.hub
        try:
            with hub.engine.connect() as connection:
                migrations.require(connection, hub.settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return str(error).splitlines()[0]
        return None


def metrics_route(path: str, registry: CollectorRegistry) -> Route:
    """A route that exposes a registry as Prometheus or OpenMetrics asks for it."""

    async def exposed(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # A collector may ask the database.
        text = await asyncio.to_thread(encode, registry)
        return Response(text, media_type=None, headers={"content-type": content_type})

    return Route(path, exposed)


def app_of(worker: Worker, registries: Mapping[str, CollectorRegistry]) -> Starlette:
    """The probes of a worker, and the registries under their paths."""
    probes = Probes(worker)
    return Starlette(
        routes=[
            Route("/livez", probes.live),
            Route("/readyz", probes.ready),
            Route("/startupz", probes.started),
            *(metrics_route(path, registry) for path, registry in registries.items()),
        ]
    )


@asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve `app` on this loop meanwhile; gives the address, whose port is chosen where it was 0.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, log_level="warning",
        timeout_graceful_shutdown=END_SECONDS,
    )  # fmt: skip
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        name = listening.getsockname()
        yield name[0], name[1]
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await running
        listening.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: signals belong to the worker."""
        yield


def _answer(refusal: str | None) -> Response:
    if refusal is None:
        return PlainTextResponse("ok\n")
    return PlainTextResponse(f"{refusal}\n", status_code=503)
