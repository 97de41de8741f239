"""The one line that is logged of each attempt, when its outcome is stored."""

from __future__ import annotations

from typing import Any

from taskhub.queue.acks import Ack, Claimed, Failed, Stored, Succeeded
from taskhub.queue.attempts import cut, storable
from taskhub.queue.context import Context

MAX_ARGUMENTS = 4_000


def outcome(ack: Ack | Stored) -> str:
    """How the attempt ended, in the history's words."""
    if isinstance(ack, Succeeded | Stored):
        return "succeeded"
    return ack.status if isinstance(ack, Failed) else ack.outcome


def summary(job: Claimed, context: Context, ack: Ack | Stored, seconds: float) -> dict[str, Any]:
    """What stands beside the line's sentence; the arguments only where `log_arguments` is set.

    wait_seconds counts from when the job was due; a trace or an error is left out where there is none.
    """
    told: dict[str, Any] = {
        "job_id": job.id,
        "task": job.task_name,
        "queue": job.queue_name,
        "attempt": job.attempts + 1,
        "outcome": outcome(ack),
        "task_duration_seconds": round(seconds, 6),
        "worker_id": context.worker_id,
    }
    if job.waited_seconds is not None:
        told["wait_seconds"] = round(max(job.waited_seconds, 0.0), 6)
    if context.trace_id is not None:
        told["trace_id"] = context.trace_id
    failure = None if isinstance(ack, Succeeded | Stored) else ack.failure
    if failure is not None:
        told["error_type"] = failure.error_class
        told["fingerprint"] = failure.fingerprint
    if context.hub.settings.log_arguments:
        told["arguments"] = cut(storable(job.args), MAX_ARGUMENTS)
    return told
