"""Spans of real jobs on a real worker, as OpenTelemetry's SDK gets them."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskhub import Backoff, Hub, Item, Snooze, db
from taskhub.queue import JobEvent
from taskhub.telemetry import traces
from tests.telemetry import traced
from tests.telemetry.runs import run_out


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(hub: Hub, provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    """What was exported of the traced hub."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.instrument(hub, tracer_provider=provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def trace_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def test_a_job_runs_in_the_trace_of_whoever_deferred_it(
    hub: Hub, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    tracer = provider.get_tracer("shop")

    @hub.task(name="send", queue="mail", lock="order:{order}")
    def send(order: int) -> None:
        with tracer.start_as_current_span("smtp"):
            pass

    with tracer.start_as_current_span("POST /orders"):
        job = send.defer(7)
    hub.run_worker(wait=False)

    [request], [sent], [run], [inner] = (
        named(spans, name) for name in ("POST /orders", "send mail", "process mail", "smtp")
    )
    assert sent.kind is SpanKind.PRODUCER
    assert run.kind is SpanKind.CONSUMER
    assert sent.parent is not None
    assert run.parent is not None
    assert inner.parent is not None
    assert sent.parent == request.context
    assert run.parent.span_id == sent.context.span_id
    assert inner.parent.span_id == run.context.span_id
    assert len({trace_id(span) for span in (request, sent, run, inner)}) == 1
    told: dict[str, Any] = dict(run.attributes or {})
    assert told.pop("messaging.taskhub.wait_seconds") >= 0
    assert int(told.pop("messaging.client.id")) > 0
    told.pop("server.address")
    told.pop("server.port", None)
    assert told == {
        "messaging.system": "taskhub",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": str(job.id),
        "messaging.taskhub.task": "send",
        "messaging.taskhub.attempt": 1,
        "messaging.taskhub.lock": "order:7",
    }


def test_a_retry_is_a_root_with_a_link_to_the_defer(hub: Hub, spans: InMemorySpanExporter) -> None:
    @hub.task(name="send", queue="mail", retry=Backoff(max_attempts=2, first_seconds=0.001))
    async def send() -> None:
        raise ValueError("no such address")

    run_out(hub, send.defer())

    [sent] = named(spans, "send mail")
    first, second = named(spans, "process mail")
    assert trace_id(first) == trace_id(sent) != trace_id(second)
    assert second.parent is None
    assert [link.context.span_id for link in second.links] == [sent.context.span_id]
    assert first.links == ()
    for run in (first, second):
        assert run.status.status_code is StatusCode.ERROR
        assert (run.attributes or {})["error.type"] == "ValueError"
        assert [e.name for e in run.events] == ["exception"]


def test_a_snooze_is_no_error(hub: Hub, spans: InMemorySpanExporter) -> None:
    @hub.task(name="later", queue="mail")
    def later() -> None:
        raise Snooze(3600)

    later.defer()
    hub.run_worker(wait=False)

    [run] = named(spans, "process mail")
    assert run.status.status_code is StatusCode.UNSET
    assert "error.type" not in (run.attributes or {})


@pytest.mark.parametrize("count", [3, 250])
def test_jobs_of_one_call_carry_the_same_span_by_insert_and_by_copy(
    hub: Hub, spans: InMemorySpanExporter, count: int
) -> None:
    @hub.task(name="send", queue="mail")
    def send(order: int) -> None: ...

    with psycopg.connect(db.conninfo(hub.url)) as connection:
        send.options(connection=connection).defer_many([{"order": n} for n in range(count)])
        stored = connection.execute(
            "SELECT DISTINCT trace::json ->> 'traceparent' FROM taskhub.procrastinate_jobs"
        ).fetchall()

    [sent] = named(spans, "send mail")
    assert (sent.attributes or {})["messaging.batch.message_count"] == count
    assert [text.split("-")[2] for (text,) in stored] == [f"{sent.context.span_id:016x}"]


def test_a_job_that_takes_the_place_of_a_waiting_one_carries_its_own_span(
    hub: Hub, spans: InMemorySpanExporter
) -> None:
    @hub.task(name="send", queue="mail", unique="order:{order}", on_conflict="replace")
    def send(order: int) -> None: ...

    send.defer(7)
    send.defer(7)
    hub.run_worker(wait=False)

    _, second = named(spans, "send mail")
    [run] = named(spans, "process mail")
    assert run.parent is not None
    assert run.parent.span_id == second.context.span_id


def test_baggage_goes_with_the_job_and_an_asynchronous_defer_is_traced(
    hub: Hub, spans: InMemorySpanExporter
) -> None:
    seen: list[object] = []

    @hub.task(name="send", queue="mail")
    def send() -> None:
        seen.append(baggage.get_baggage("tenant"))

    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        asyncio.run(_defer(hub))
    finally:
        context.detach(token)
    hub.run_worker(wait=False)

    assert seen == ["acme"]
    assert len(named(spans, "send mail")) == 1


async def _defer(hub: Hub) -> None:
    await hub.tasks["send"].defer_async()
    await hub.close_async()


def test_a_call_of_a_batch_task_links_to_each_of_its_jobs(
    hub: Hub, spans: InMemorySpanExporter
) -> None:
    @hub.task(name="embed", queue="texts", batch=8)
    def embed(items: list[Item]) -> None: ...

    for number in range(3):
        embed.defer_many([{"number": number}])
    hub.run_worker(wait=False)

    sent = named(spans, "send texts")
    [run] = named(spans, "process texts")
    assert {link.context.span_id for link in run.links} == {s.context.span_id for s in sent}
    assert (run.attributes or {})["messaging.batch.message_count"] == 3
    assert run.parent is None


def test_the_log_and_the_hooks_of_an_attempt_know_its_trace(
    hub: Hub, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    send.defer()
    with caplog.at_level("INFO", logger="taskhub.worker"):
        hub.run_worker(wait=False)

    [run] = named(spans, "process mail")
    [line] = [record for record in caplog.records if record.message == "job.succeeded"]
    assert vars(line)["trace_id"] == f"{trace_id(run):032x}"


def test_a_child_process_goes_on_with_the_trace(
    hub: Hub, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(traced.work)
    monkeypatch.setattr(traced, "hub", hub)
    job = traced.trace_inside.defer()

    hub.run_worker(wait=False)

    [run] = named(spans, "process heavy")
    assert job.result() == f"{trace_id(run):032x}"


def test_numbers_are_measured_by_their_names_in_the_conventions(
    hub: Hub, provider: TracerProvider
) -> None:
    reader = InMemoryMetricReader()
    traces.instrument(hub, tracer_provider=provider, meter_provider=MeterProvider([reader]))

    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    send.defer_many([{}, {}])
    hub.run_worker(wait=False)

    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {name: metric.unit for name, metric in found.items()} == {
        "messaging.client.operation.duration": "s",
        "messaging.client.sent.messages": "{message}",
        "messaging.client.consumed.messages": "{message}",
        "messaging.process.duration": "s",
    }
    [duration] = found["messaging.process.duration"].data.data_points
    assert duration.count == 2  # type: ignore[union-attr]  # a histogram's
    assert duration.explicit_bounds[-1] == 1800  # type: ignore[union-attr]  # as above


def test_without_an_sdk_no_job_carries_anything_and_none_is_loaded(hub: Hub) -> None:
    traces.instrument(hub)
    events: list[JobEvent] = []
    hub.on("job.succeeded", events.append)

    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    send.defer()
    with hub.engine.connect() as connection:
        [row] = connection.exec_driver_sql("SELECT trace FROM taskhub.procrastinate_jobs")
    hub.run_worker(wait=False)
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, taskhub.telemetry.traces; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert row[0] is None
    assert len(events) == 1
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert not [name for name in loaded if name.startswith("opentelemetry.sdk")]


def test_whatever_stands_in_the_column_no_job_fails_by_it(
    hub: Hub, spans: InMemorySpanExporter
) -> None:
    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    send.defer_many([{}] * 3)
    with hub.engine.begin() as connection:
        for n, text in enumerate(("no json", "[1]", '{"traceparent": "00-zz"}'), 1):
            connection.exec_driver_sql(
                "UPDATE taskhub.procrastinate_jobs SET trace = %s WHERE id = %s", (text, n)
            )
    hub.run_worker(wait=False)

    runs = named(spans, "process mail")
    assert [run.parent for run in runs] == [None] * 3
    assert all(run.status.status_code is StatusCode.UNSET for run in runs)
