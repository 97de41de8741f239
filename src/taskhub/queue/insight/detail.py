"""One job in full, and why it is as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskhub.queue.insight import asking
from taskhub.queue.jobs import Attempt, UnknownJob
from taskhub.queue.progress import Progress
from taskhub.queue.states import JobDetail
from taskhub.queue.why import Why, explain

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


def job(hub: Hub, job_id: int) -> JobDetail:
    """One job with its history.

    Raises:
        UnknownJob: there is none of this id, or its transaction has not committed.
    """
    with asking.moment(hub) as connection:
        rows = asking.read(hub, connection, "read_job", job_id=job_id)
        history = asking.read(hub, connection, "read_attempts", job_id=job_id)
        progress = asking.read(hub, connection, "read_progress", job_id=job_id)
    if not rows:
        raise UnknownJob(f"no job {job_id}; its transaction may not have committed yet")
    return JobDetail(
        **rows[0],
        history=[Attempt(**attempt) for attempt in history],
        progress=Progress(**progress[0]) if progress else None,
    )


def why(hub: Hub, job_id: int) -> Why:
    """Why a job waits, runs or has ended, at this moment; never without a reason.

    Raises:
        UnknownJob: there is none of this id; the message says what may have become of it.
    """
    return explain(hub, job_id)
