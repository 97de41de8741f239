"""Somebody asks a running job to stop."""

from taskhub import Hub
from taskhub.queue.jobs import Job
from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs, Start


def test_procrastinate_calls_an_aborted_job_with_a_retry_failed(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    job_id = plain_jobs.defer("hold_async", door="go")
    start_plain().hears(f"running {job_id}")

    plain_jobs.one("SELECT procrastinate_cancel_job_v1(%s, true, false)", job_id)

    plain_jobs.becomes(job_id, "failed")


def test_a_cancelled_coroutine_with_a_retry_ends_as_aborted(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("hold_async", door="go")
    worker = start()
    worker.hears(f"running {job_id} 1")

    hub = Hub(cluster.url)
    running: Job[None] = Job(job_id, "hold_async", hub)
    running.cancel(reason="no longer needed")
    hub.close()

    jobs.ends(job_id, "aborted")
    assert jobs.status(job_id) == "aborted"
    asked = jobs.one(f"SELECT abort_requested FROM {jobs.table} WHERE id = %s", job_id)
    assert asked is False


def test_a_request_to_stop_that_came_too_late_reaches_no_later_run(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("hold_async", door="go")
    first = start()
    first.hears(f"running {job_id} 1")
    first.kill()
    hub = Hub(cluster.url)
    lost: Job[None] = Job(job_id, "hold_async", hub)
    lost.cancel(reason="no longer needed")
    hub.close()

    start()

    # Whoever rescues it must not run it, or must stop it: somebody asked.
    jobs.becomes(job_id, "aborted", seconds=30)
