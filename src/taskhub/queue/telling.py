"""What ended and is stored, told to the log and the hooks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskhub.queue.acks import Succeeded
from taskhub.queue.events import JobEvent
from taskhub.queue.item_runs import ItemRun

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub
    from taskhub.queue.pending import Ended

logger = logging.getLogger("taskhub.worker")


def tell(hub: Hub, ended: Sequence[Ended]) -> None:
    """Tell of each, in their order; of jobs of batch tasks that succeeded in a row together."""
    is_short = not logger.isEnabledFor(logging.INFO)
    wanted = hub.hooks.wanted("job.succeeded")
    succeeded: list[JobEvent] = []
    for run, ack in ended:
        if run is None:
            continue
        if is_short and type(ack) is Succeeded and type(run) is ItemRun:
            if wanted:
                succeeded.append(_event(run))
            continue
        if succeeded:
            hub.hooks.emit_all(succeeded)
            succeeded = []
        run.tell_end(ack)
    hub.hooks.emit_all(succeeded)


def _event(run: ItemRun) -> JobEvent:
    job = run.job
    seconds = run.seconds
    return JobEvent(
        "job.succeeded", job.id, job.task_name, job.queue_name, job.attempts + 1, seconds,
        wait_seconds=job.waited_seconds,
    )  # fmt: skip
