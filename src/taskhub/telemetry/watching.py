"""What is switched on around a worker of the command line, by its options and the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from taskhub.queue import Hub, Worker


class ExtraMissing(RuntimeError):
    """What was asked for needs a library that is not installed; the message says which extra has it."""


class NoAddress(RuntimeError):
    """The address for the probes cannot be had."""


@dataclass(frozen=True, slots=True)
class Probing:
    """Where a worker answers probes; port 0 is whichever is free."""

    host: str
    port: int


@asynccontextmanager
async def watched(
    worker: Worker, probing: Probing | None, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Serve the probes and the metrics of a worker meanwhile, on its own loop; trace what it runs.

    Raises:
        ExtraMissing: probes need taskhub[prometheus,dashboard], the settings traces and sentry_dsn
            taskhub[otel] and taskhub[sentry].
        NoAddress: another program has the port, or the host is none of this machine's.
    """
    if worker.hub.settings.traces:
        _trace(worker.hub)
    async with AsyncExitStack() as stack:
        if worker.hub.settings.sentry_dsn:
            stack.callback(_tell_sentry(worker.hub))
        if probing is not None:
            await _probe(stack, worker, probing, say)
        yield


def _trace(hub: Hub) -> None:
    try:
        from taskhub.telemetry import traces
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"traces need {error.name}; run `pip install 'taskhub[otel]'`"
        ) from error
    if not any(isinstance(one, traces.Traces) for one in hub.observers):
        traces.instrument(hub)


def _tell_sentry(hub: Hub) -> Callable[[], None]:
    """What is to be called at the end."""
    try:
        from taskhub.telemetry import sentry
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"sentry_dsn needs {error.name}; run `pip install 'taskhub[sentry]'`"
        ) from error
    return sentry.instrument(hub).close


async def _probe(
    stack: AsyncExitStack, worker: Worker, probing: Probing, say: Callable[[str], None]
) -> None:
    try:
        from taskhub.telemetry import cluster, probes, worker_metrics
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"probes need {error.name}; run `pip install 'taskhub[prometheus,dashboard]'`"
        ) from error
    metrics = worker_metrics.WorkerMetrics(worker.hub)
    metrics.watch(worker)
    of_cluster = cluster.ClusterCollector(worker.hub)
    stack.callback(of_cluster.close)
    registries = {"/metrics": metrics.registry, "/metrics/cluster": cluster.alone(of_cluster)}
    app = probes.app_of(worker, registries)
    try:
        address = await stack.enter_async_context(probes.serving(app, probing.host, probing.port))
    except OSError as error:
        raise NoAddress(
            f"probes cannot be served on {probing.host}:{probing.port}: {error}"
        ) from error
    host, port = address
    say(f"probes and metrics: http://{f'[{host}]' if ':' in host else host}:{port}")
