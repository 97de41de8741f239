"""A lease is kept whatever the jobs do to the process that holds it."""

from tests.faults.conftest import Jobs, Start


def test_a_coroutine_that_blocks_the_loop_for_three_leases_keeps_its_lease(
    jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("block_loop", seconds=6)
    worker = start(lease_seconds=2)
    worker.hears(f"running {job_id} 1")
    start(queues="none", lease_seconds=2)  # it would rescue what seems dead

    jobs.ends(job_id, "succeeded")
