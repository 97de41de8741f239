"""Runs jobs in this process until one of them has ended, its retries among them."""

from typing import Any

from taskhub import Hub, Job, Status
from tests.waiting import until


def run_out(hub: Hub, job: Job[Any]) -> None:
    def ended() -> bool:
        hub.run_worker(wait=False)
        return job.status() not in {Status.TODO, Status.DOING}

    until(ended, "the end of the job")
