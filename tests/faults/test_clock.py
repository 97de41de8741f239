"""The clock of a worker's machine is a day off; the database's clock decides."""

from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.faults.programs import installed


def clock(offset: str) -> dict[str, dict[str, str]]:
    """Options of `start` for a program that sees another time."""
    # Found, not asked for: the tool itself fails where an ended program of the same id left its
    # semaphore behind, and the program under it would be its child, and outlive its SIGKILL.
    prefix = Path(installed("faketime", "faketime")).parent.parent
    library = next(
        path
        for pattern in ("lib/*/faketime", "lib*/faketime")
        for path in prefix.glob(f"{pattern}/libfaketime.so.1")
    )
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME": offset,
        # The steady clock is right on such a machine too.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # its name up to 0.9.9
    }
    return {"environment": environment}


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_retries_and_delays_come_when_the_database_says(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors, offset: str
) -> None:
    doors.open("go")
    start(**clock(offset), queues="work")

    retried = jobs.defer("fail_once", door="go")
    jobs.defer("defer_later", seconds=3600)
    future = jobs.defer(
        "nothing", columns={"scheduled_at": cluster.one("SELECT now() + interval '1 h'")}
    )
    jobs.ends(retried, "retried succeeded")
    jobs.becomes(retried + 1, "succeeded")

    waits = cluster.one(
        "SELECT extract(epoch FROM scheduled_at - now())::integer "
        "FROM taskhub.procrastinate_jobs WHERE queue_name = 'later'"
    )
    assert 3000 < waits <= 3600
    assert jobs.status(future) == "todo"


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_a_worker_with_another_clock_declares_nobody_dead(
    cluster: Cluster, jobs: Jobs, start: Start, offset: str
) -> None:
    job_id = jobs.defer("nap", seconds=3)
    right = start(queues="work", lease_seconds=10)
    right.hears(f"running {job_id} 1")

    start(**clock(offset), queues="elsewhere", lease_seconds=10)

    jobs.ends(job_id, "succeeded")
    assert cluster.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'") == 0


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_the_jobs_of_a_worker_with_another_clock_come_back_within_its_lease(
    jobs: Jobs, start: Start, doors: Doors, offset: str
) -> None:
    # Not the thread that sleeps: libfaketime 0.9.10 breaks Python's time.sleep.
    job_id = jobs.defer("hold_async", door="go")
    wrong = start(**clock(offset))
    wrong.hears(f"running {job_id} 1")

    wrong.kill()
    second = start(**clock(offset))
    second.hears(f"running {job_id} 2")
    doors.open("go")

    jobs.ends(job_id, "lost succeeded")
