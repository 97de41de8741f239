"""Postgres crashes, stays away for a while and comes back on the same port."""

import time
from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.waiting import until

CRASHES: dict[str, Callable[[Cluster], None]] = {
    "stop -m immediate": lambda cluster: cluster.stop("immediate"),
    "kill -9 of the postmaster": lambda cluster: cluster.kill(),
    "stop -m fast": lambda cluster: cluster.stop("fast"),
}


def outage(cluster: Cluster, crash: Callable[[Cluster], None], seconds: float) -> None:
    crash(cluster)
    over = time.monotonic() + seconds
    until(lambda: time.monotonic() > over, "the outage", seconds=seconds + 5)
    cluster.start()


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
def test_workers_outlive_an_outage_of_three_leases_and_lose_nothing(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors, crash: Callable[[Cluster], None]
) -> None:
    held = [jobs.defer("hold", door="go") for _ in range(4)]
    waiting = [jobs.defer("write") for _ in range(20)]
    workers = [start(concurrency=2) for _ in range(2)]
    until(lambda: sum(len(w.heard) for w in workers) == len(held), "taking the jobs")

    outage(cluster, crash, 3)
    doors.open("go")
    jobs.drained()

    assert [jobs.status(job_id) for job_id in held + waiting] == ["succeeded"] * 24
    effects = cluster.rows("SELECT job_id FROM effects ORDER BY job_id")
    assert [row["job_id"] for row in effects] == waiting
    # An outage stops every heartbeat at once; that is no mass death.
    assert cluster.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'") == 0
    for worker in workers:
        worker.terminate()
        assert worker.ends() == 0


def test_a_worker_outlives_thirty_seconds_without_its_database(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    held = jobs.defer("hold", door="go")
    waiting = [jobs.defer("write") for _ in range(50)]
    worker = start(concurrency=1)
    worker.hears(f"running {held} 1")

    outage(cluster, CRASHES["stop -m immediate"], 30)
    doors.open("go")
    jobs.drained()

    assert worker.lives
    assert cluster.one("SELECT count(*) FROM effects") == len(waiting)
    assert cluster.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'") == 0


def test_a_job_that_ends_during_the_outage_is_stored_when_the_database_is_back(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    worker = start()
    worker.hears(f"running {job_id} 1")
    cluster.stop("immediate")

    doors.open("go")
    worker.hears(f"leaving {job_id} 1")
    cluster.start()

    jobs.ends(job_id, "succeeded")


def test_a_worker_that_drains_during_an_outage_ends_by_itself(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    job_id = jobs.defer("hold", door="go")
    worker = start(drain_seconds=1)
    worker.hears(f"running {job_id} 1")
    cluster.stop("immediate")

    worker.terminate()
    code = worker.ends(seconds=30)
    cluster.start()

    # What could not be stored must not look like a clean end.
    assert code != 0
    start().hears(f"running {job_id} 2")


def test_jobs_of_a_worker_that_died_in_the_outage_come_back(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    first = start()
    first.hears(f"running {job_id} 1")
    second = start()

    cluster.stop("immediate")
    first.kill()
    cluster.start()
    second.hears(f"running {job_id} 2")
    doors.open("go")

    jobs.ends(job_id, "lost succeeded")
