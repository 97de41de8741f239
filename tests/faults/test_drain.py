"""SIGTERM: the worker drains."""

import signal

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.waiting import until


def test_a_drain_longer_than_the_lease_runs_no_job_twice(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    long_ones = [jobs.defer("nap", seconds=6) for _ in range(3)]
    first = start(drain_seconds=30, lease_seconds=2)
    for job_id in long_ones:
        first.hears(f"running {job_id} 1")
    second = start(lease_seconds=2)

    first.terminate()

    assert first.ends() == 0
    for job_id in long_ones:
        jobs.ends(job_id, "succeeded")
    assert second.heard == []


def test_procrastinate_loses_a_coroutine_that_a_shutdown_cuts_short(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    job_id = plain_jobs.defer("hold_async_once", door="go")
    worker = start_plain(shutdown_graceful_timeout=0.2)
    worker.hears(f"running {job_id}")

    worker.terminate()
    worker.ends()

    assert plain_jobs.status(job_id) == "aborted"


def test_a_job_cut_short_by_a_shutdown_runs_again_and_uses_no_attempt(
    jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_ids = [jobs.defer("hold_async_once", door="go"), jobs.defer("hold", door="go")]
    first = start(drain_seconds=0.3)
    for job_id in job_ids:
        first.hears(f"running {job_id} 1")

    first.terminate()

    assert first.ends() == 0
    for job_id in job_ids:
        assert jobs.outcomes(job_id) == "interrupted"
        row = jobs.one(
            f"SELECT (status, attempts, lost)::text FROM {jobs.table} WHERE id = %s", job_id
        )
        assert row == "(todo,0,0)"
    second = start()
    for job_id in job_ids:
        second.hears(f"running {job_id} 2")
    doors.open("go")
    for job_id in job_ids:
        jobs.ends(job_id, "interrupted succeeded")


def test_a_second_signal_ends_the_drain(jobs: Jobs, start: Start) -> None:
    job_id = jobs.defer("hold_async_once", door="go")
    worker = start(drain_seconds=300)
    worker.hears(f"running {job_id} 1")

    # Two signals at once can be one to the kernel.
    def ended() -> bool:
        worker.process.send_signal(signal.SIGTERM)
        return not worker.lives

    until(ended, "the end of the drain")

    assert jobs.outcomes(job_id) == "interrupted"
    assert jobs.status(job_id) == "todo"
