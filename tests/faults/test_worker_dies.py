"""A worker is killed, paused or taken off the living, alone or by its own job."""

import signal
import time

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.waiting import until

LEASE_SECONDS = 1.0


def test_procrastinate_leaves_the_job_of_a_killed_worker_where_it_is(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    job_id = plain_jobs.defer("hold", door="go")
    first = start_plain()
    first.hears(f"running {job_id}")

    first.kill()
    # A worker deletes the dead at its start, when their heartbeat is old.
    dead = (
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat < now() - interval '1 s'"
    )
    until(lambda: plain_jobs.one(dead) == 1, "the death of the worker")
    second = start_plain()
    other_id = plain_jobs.defer("answer", text="done")
    plain_jobs.becomes(other_id, "succeeded")

    assert second.heard == [f"running {other_id}"]
    assert plain_jobs.status(job_id) == "doing"


def test_the_job_of_a_killed_worker_runs_again_within_lease_and_rescue(
    jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    first = start(concurrency=1)
    first.hears(f"running {job_id} 1")
    second = start()

    first.kill()
    killed = time.monotonic()
    second.hears(f"running {job_id} 2")
    waited = time.monotonic() - killed
    doors.open("go")

    jobs.ends(job_id, "lost succeeded")
    # The lease, the time to the next look, and a busy machine.
    assert waited < LEASE_SECONDS + LEASE_SECONDS + 3


def test_two_workers_that_rescue_at_once_count_each_loss_once(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    dead = cluster.one(
        "INSERT INTO taskhub.procrastinate_workers (last_heartbeat) "
        "VALUES (now() - interval '1 hour') RETURNING id"
    )
    cluster.run(
        "INSERT INTO taskhub.procrastinate_jobs "
        "(queue_name, task_name, status, worker_id, claim, started_at) "
        "SELECT 'work', 'nothing', 'doing', %s, 1, now() FROM generate_series(1, 300)",
        dead,
    )

    for _ in range(2):
        start()
    jobs.drained()

    ways = cluster.rows(
        "SELECT outcomes, count(*) AS jobs FROM (SELECT job_id, "
        "string_agg(outcome::text, ' ' ORDER BY claim) AS outcomes "
        "FROM taskhub.attempts GROUP BY job_id) AS each GROUP BY outcomes"
    )
    assert ways == [{"outcomes": "lost succeeded", "jobs": 300}]


def test_procrastinate_takes_the_outcome_of_a_worker_that_lost_the_job(
    cluster: Cluster, plain_jobs: Jobs
) -> None:
    job_id = plain_jobs.defer("hold", door="go")
    register = "SELECT procrastinate_register_worker_v1()"
    fetch = "SELECT (procrastinate_fetch_job_v2(NULL, %s)).id"
    first, second = (
        int(plain_jobs.one(f"{register}::text").strip("(").split(",")[0]) for _ in range(2)
    )
    assert plain_jobs.one(fetch, first) == job_id
    # The worker is paused; the documented reaper gives the job to another one.
    plain_jobs.one("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)::text", job_id)
    assert plain_jobs.one(fetch, second) == job_id

    plain_jobs.one("SELECT procrastinate_finish_job_v1(%s, 'succeeded', false)::text", job_id)

    assert plain_jobs.status(job_id) == "succeeded"  # while the second run goes on


def test_a_worker_paused_for_three_leases_is_refused_when_it_writes(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold_and_write", door="go")
    first = start()
    first.hears(f"running {job_id} 1")
    first.pause()
    paused = time.monotonic()
    start().hears(f"written {job_id} 2")
    jobs.ends(job_id, "lost succeeded")
    until(lambda: time.monotonic() > paused + 3 * LEASE_SECONDS, "three leases")

    doors.open("go")
    first.resume()

    first.hears(f"refused {job_id} 1")
    # It lives, as another worker than the one that was declared dead.
    until(
        lambda: cluster.one("SELECT count(*) FROM taskhub.procrastinate_workers") == 2,
        "coming back",
    )
    assert cluster.rows("SELECT job_id, claim FROM effects") == [{"job_id": job_id, "claim": 2}]
    assert jobs.outcomes(job_id) == "lost succeeded"


@pytest.mark.parametrize("task", ["stamp_async", "stamp_thread"])
def test_what_a_paused_worker_does_outside_overlaps_by_less_than_a_lease_and_is_counted(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors, task: str
) -> None:
    ids = [jobs.defer(task, stamps=300) for _ in range(4)]
    first = start()
    for job_id in ids:
        first.hears(f"running {job_id} 1")
    first.pause()
    second = start()
    for job_id in ids:
        second.hears(f"running {job_id} 2")

    first.resume()
    for job_id in ids:
        jobs.ends(job_id, "lost succeeded")

    overlaps = []
    for job_id in ids:
        before, after = (
            [
                float(line)
                for line in (doors.folder / f"stamps-{job_id}-{claim}").read_text().split()
            ]
            for claim in (1, 2)
        )
        # What the first one did after the second had begun, and before the second had ended.
        late = [stamp for stamp in before if after[0] < stamp < after[-1]]
        overlaps.append(late[-1] - late[0] if late else 0.0)
    assert max(overlaps) < LEASE_SECONDS
    until(lambda: cluster.one("SELECT count(*) FROM taskhub.overlaps") == len(ids), "the count")
    longest = cluster.one("SELECT max(overlap_seconds) FROM taskhub.overlaps")
    assert max(overlaps) <= longest < LEASE_SECONDS
    print(f"{task}: {max(overlaps):.3f} s by the jobs' record, at most {longest:.3f} s as counted")


def test_the_outcome_of_a_paused_worker_is_dropped(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    first = start()
    first.hears(f"running {job_id} 1")
    first.pause()
    second = start()
    second.hears(f"running {job_id} 2")

    second.pause()  # its run is under way while the first one's ends
    first.resume()
    doors.open("go")
    first.hears(f"leaving {job_id} 1")
    second.resume()

    until(lambda: "succeeded" in jobs.outcomes(job_id), "storing the outcome")
    stored = cluster.rows(
        "SELECT claim FROM taskhub.attempts WHERE job_id = %s AND outcome = 'succeeded'", job_id
    )
    # Whoever had the job last stored it, the first run never did.
    assert len(stored) == 1
    assert stored[0]["claim"] > 1


def test_a_living_worker_that_was_taken_off_the_living_comes_back(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    worker = start()
    worker.hears(f"running {job_id} 1")

    cluster.run("DELETE FROM taskhub.procrastinate_workers")
    worker.hears(f"running {job_id} 2")
    doors.open("go")

    jobs.becomes(job_id, "succeeded")
    # It gives the job back itself, unless somebody rescues it first.
    assert jobs.outcomes(job_id) in ("interrupted succeeded", "lost succeeded")
    assert worker.lives


def test_a_job_that_kills_its_worker_ends_as_a_dead_letter_and_takes_no_neighbour_along(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    guilty = jobs.defer("kill_worker")
    neighbours = [jobs.defer("nap", seconds=1.0) for _ in range(3)]

    deaths = 0
    while jobs.status(guilty) != "failed":
        worker = start()
        until(
            lambda worker=worker: not worker.lives or jobs.status(guilty) == "failed",  # type: ignore[misc]  # mypy cannot infer the default's type
            "the end of the worker or of the job",
            seconds=40,
        )
        deaths += not worker.lives
        assert worker.lives or worker.process.returncode == -signal.SIGKILL
    for neighbour in neighbours:
        jobs.becomes(neighbour, "succeeded")

    assert deaths == 5
    assert jobs.outcomes(guilty) == " ".join(["lost"] * 5)
    # From its third run on it is claimed alone: what dies with its worker is nobody else.
    together = cluster.one(
        "SELECT count(*) FROM taskhub.attempts AS a JOIN taskhub.attempts AS g USING (worker_id) "
        "WHERE g.job_id = %s AND g.claim > 2 AND a.job_id <> g.job_id AND a.outcome = 'lost'",
        guilty,
    )
    assert together == 0


def test_a_batch_that_kills_its_worker_falls_apart_and_only_the_guilty_job_dies(
    jobs: Jobs, start: Start
) -> None:
    guilty = jobs.defer("together", kills=True)
    others = [jobs.defer("together") for _ in range(4)]

    while jobs.status(guilty) != "failed":
        worker = start()
        until(
            lambda worker=worker: not worker.lives or jobs.status(guilty) == "failed",  # type: ignore[misc]  # mypy cannot infer the default's type
            "the end of the worker or of the job",
            seconds=40,
        )
    for other in others:
        jobs.becomes(other, "succeeded")

    assert jobs.outcomes(guilty) == " ".join(["lost"] * 5)
    # Twice the call took them along; after that each is called alone.
    assert {jobs.outcomes(other) for other in others} == {"lost lost succeeded"}
