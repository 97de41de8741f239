"""PgBouncer 1.18 in transaction mode between everything and the server."""

from sqlalchemy import text

from taskhub import Hub
from taskhub.settings import Settings
from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start

EFFECT = text("INSERT INTO effects (job_id, claim) VALUES (0, 0)")


def test_jobs_are_deferred_run_retried_and_drained_through_it(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors, bouncer: str
) -> None:
    worker = start(bouncer)
    hub = Hub(settings=Settings(database_url=bouncer))

    @hub.task(name="answer")
    def answer(text: str) -> str:
        return text

    @hub.task(name="write")
    def write() -> None: ...

    with hub.transaction() as session:
        session.execute(EFFECT)
        done = answer.defer("done")
    many = write.defer_many({} for _ in range(200))
    retried = jobs.defer("fail_once", door="go")
    doors.open("go")
    held = jobs.defer("hold", door="later")
    jobs.ends(retried, "retried succeeded")
    jobs.ends(many[-1].id, "succeeded")
    worker.hears(f"running {held} 1")
    worker.terminate()

    assert done.result(timeout=30) == "done"
    hub.close()
    assert worker.ends() == 0
    assert jobs.outcomes(held) == "interrupted"
    assert cluster.one("SELECT count(*) FROM effects") == 201


def test_a_worker_that_cannot_hear_says_so_and_looks_by_itself(
    jobs: Jobs, start: Start, bouncer: str
) -> None:
    worker = start(bouncer, poll_seconds=0.2, idle_poll_seconds=300)
    worker.logs("notifications are not heard")

    job_id = jobs.defer("nothing")

    jobs.ends(job_id, "succeeded")


def test_with_a_url_of_its_own_for_listening_it_hears_past_the_pooler(
    cluster: Cluster, jobs: Jobs, start: Start, bouncer: str
) -> None:
    worker = start(bouncer, listen_url=cluster.url, poll_seconds=300, idle_poll_seconds=300)
    worker.logs("notifications are heard")

    job_id = jobs.defer("nothing")

    jobs.ends(job_id, "succeeded")


def test_a_worker_behind_it_that_is_paused_is_refused_when_it_writes(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors, bouncer: str
) -> None:
    job_id = jobs.defer("hold_and_write", door="go")
    first = start(bouncer)
    first.hears(f"running {job_id} 1")

    first.pause()
    start(bouncer).hears(f"written {job_id} 2")
    doors.open("go")
    first.resume()

    first.hears(f"refused {job_id} 1")
    assert cluster.rows("SELECT job_id, claim FROM effects") == [{"job_id": job_id, "claim": 2}]
