"""Traces and metrics for OpenTelemetry, by its conventions for messaging (1.44).

Only the API is imported: without an SDK in the program every call here does nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context as Carried
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskhub.queue import Context, Hub, Snooze
from taskhub.queue.acks import Claimed
from taskhub.queue.executors import FailedInChild
from taskhub.queue.observers import Observer
from taskhub.queue.rows import NewJob

SYSTEM = "taskhub"
# Baggage may be anything: what is larger is not stored with the job, its span is.
MOST_BYTES = 4096
MOST_LINKS = 128
_W3C = TraceContextTextMapPropagator()


def instrument(
    hub: Hub,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Traces:
    """Trace what this hub defers and runs from now on; default: the program's own providers.

    A `send` span is around each defer, and its context is stored with the job, in its transaction. The
    first attempt is a child of it. A retry is the root of a trace of its own with a link to it, and so
    is a call of a batch task, with a link for each of its jobs.
    """
    made = Traces(hub, tracer_provider, meter_provider)
    hub.observers.append(made)
    return made


class Traces(Observer):
    """The spans of one hub; see `instrument`."""

    def __init__(
        self,
        hub: Hub,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._hub = hub
        self._place: dict[str, Any] | None = None
        self._tracer = trace.get_tracer("taskhub", tracer_provider=tracer_provider)
        meter = metrics.get_meter("taskhub", meter_provider=meter_provider)
        buckets = list(hub.settings.metrics_run_buckets_seconds)
        self._sending = meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            explicit_bucket_boundaries_advisory=buckets,
        )
        self._processing = meter.create_histogram(
            "messaging.process.duration", unit="s", explicit_bucket_boundaries_advisory=buckets
        )
        self._sent = meter.create_counter("messaging.client.sent.messages", unit="{message}")
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", unit="{message}"
        )

    @contextmanager
    def deferring(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        """One `send` span, whatever the number of jobs: it is what created all of them."""
        if not jobs:
            yield jobs
            return
        common = jobs[0].common
        known = self._known("send", "send", common.queue_name)
        told = {**known, "messaging.taskhub.task": common.task_name}
        if len(jobs) > 1:
            told["messaging.batch.message_count"] = len(jobs)
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"send {common.queue_name}", kind=SpanKind.PRODUCER, attributes=told
        ) as span:
            try:
                yield _traced(jobs)
            except BaseException as error:
                known = {**known, "error.type": _name_of(error)}
                span.set_attribute("error.type", _name_of(error))
                raise
            finally:
                self._sending.record(time.perf_counter() - began, known)
        self._sent.add(len(jobs), known)

    @contextmanager
    def attempt(self, job: Claimed, context: Context) -> Iterator[None]:
        """One `process` span around the call of the task."""
        parts: Sequence[Claimed] = getattr(context, "parts", None) or [job]
        parent, links = _origin(parts)
        known = self._known("process", "process", job.queue_name)
        began = time.perf_counter()
        self._consumed.add(len(parts), known)
        with (
            _attached(parent),
            self._tracer.start_as_current_span(
                f"process {job.queue_name}",
                kind=SpanKind.CONSUMER,
                links=links,
                attributes={**known, **_about(job, context, parts)},
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            context.traceparent = _traceparent(span)
            try:
                yield
            except Snooze:
                raise  # it waits, and nothing went wrong
            except (Exception, asyncio.CancelledError) as error:
                known = {**known, "error.type": _name_of(error)}
                _fail(span, error, context)
                raise
            finally:
                self._processing.record(time.perf_counter() - began, known)

    @contextmanager
    def inside_child(self, context: Context) -> Iterator[None]:
        """What the task traces in a child process hangs below the attempt's span in the worker."""
        if context.traceparent is None:
            yield
            return
        with _attached(_W3C.extract({"traceparent": context.traceparent})):
            yield

    def _known(self, name: str, kind: str, queue: str) -> dict[str, Any]:
        if self._place is None:
            url = self._hub.url
            self._place = {"server.address": url.host or "localhost"}
            if url.port is not None:
                self._place["server.port"] = url.port
        return {
            "messaging.system": SYSTEM,
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
            "messaging.destination.name": queue,
            **self._place,
        }


@contextmanager
def _attached(carried: Carried) -> Iterator[None]:
    """Its span and its baggage are the current ones meanwhile."""
    token = contexts.attach(carried)
    try:
        yield
    finally:
        contexts.detach(token)


def _traced(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """The same rows, carrying the span that is current."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    if not carrier:
        return jobs  # nobody traces
    text = json.dumps(carrier, ensure_ascii=True)
    if len(text) > MOST_BYTES:
        carrier = {}
        _W3C.inject(carrier)
        text = json.dumps({"traceparent": carrier["traceparent"]})
    first = jobs[0].common
    common = first._replace(trace=text)
    return [
        job._replace(common=common) if job.common is first else job.traced(text) for job in jobs
    ]


def _origin(parts: Sequence[Claimed]) -> tuple[Carried, list[Link]]:
    """Below which context an attempt's span begins, and what it is linked to."""
    if len(parts) == 1:
        carried = _extract(parts[0].trace)
        is_first = parts[0].attempts == 0 and parts[0].claim <= 1
        if is_first:
            return carried, []
        # A root, with the baggage all the same.
        return trace.set_span_in_context(trace.INVALID_SPAN, carried), _links([carried])
    return Carried(), _links([_extract(part.trace) for part in parts[:MOST_LINKS]])


def _links(carried: Sequence[Carried]) -> list[Link]:
    found = [trace.get_current_span(each).get_span_context() for each in carried]
    # A span's context cannot be hashed: its state is a mapping.
    return [Link(each) for each in {each.span_id: each for each in found}.values() if each.is_valid]


def _extract(stored: str | None) -> Carried:
    """What was stored, on nothing else; whatever it is, it is no reason to fail a job."""
    try:
        carrier = json.loads(stored) if stored else {}
    except ValueError:
        carrier = {}
    if not isinstance(carrier, Mapping):
        carrier = {}
    given = {str(key): str(value) for key, value in carrier.items()}
    return propagate.extract(given, context=Carried())


def _about(job: Claimed, context: Context, parts: Sequence[Claimed]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "messaging.client.id": str(context.worker_id),
        "messaging.taskhub.task": job.task_name,
    }
    if len(parts) > 1:
        return {**told, "messaging.batch.message_count": len(parts)}
    told["messaging.message.id"] = str(job.id)
    told["messaging.taskhub.attempt"] = context.attempt
    if job.lock is not None:
        told["messaging.taskhub.lock"] = job.lock
    if job.waited_seconds is not None:
        told["messaging.taskhub.wait_seconds"] = max(job.waited_seconds, 0.0)
    return told


def _fail(span: Span, error: BaseException, context: Context) -> None:
    span.set_attribute("error.type", _name_of(error))
    span.set_status(Status(StatusCode.ERROR))
    # The message and the frames of a job with secrets may show them.
    if not context.hidden:
        span.record_exception(error)


def _name_of(error: BaseException) -> str:
    return error.failure.error_class if isinstance(error, FailedInChild) else type(error).__name__


def _traceparent(span: Span) -> str | None:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span, Carried()))
    return carrier.get("traceparent")
