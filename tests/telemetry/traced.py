"""A program that traces: its tasks, as a worker and a child process import them."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from taskhub import Blueprint, Hub
from taskhub.telemetry import traces

work = Blueprint()


@work.task(name="trace_inside", queue="heavy", executor="process")
def trace_inside() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


hub = Hub()
hub.add(work)
traces.instrument(hub, tracer_provider=TracerProvider())
