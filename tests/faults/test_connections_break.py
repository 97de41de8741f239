"""One connection breaks: during the claim, the ack, the commit, or silently."""

import time
from collections.abc import Callable

import psycopg
import pytest

from tests.faults.cluster import Cluster, wait_for_lock
from tests.faults.conftest import Doors, Jobs, Start
from tests.faults.proxy import Fault, Proxy
from tests.waiting import until

Break = Callable[[Proxy, str], Fault]
BEFORE_THE_SERVER: Break = lambda proxy, text: proxy.break_request(text)  # noqa: E731 - a name for a case
DONE_BUT_UNHEARD: Break = lambda proxy, text: proxy.drop_answer_to(text)  # noqa: E731 - as above
WAYS = {"lost on the way": BEFORE_THE_SERVER, "done but unheard": DONE_BUT_UNHEARD}

JOBS_TABLE = "LOCK TABLE taskhub.procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE"


def hold_up(connection: psycopg.Connection[dict[str, object]], lock: str) -> int:
    """Take what the worker needs next, until the transaction ends; the backend's pid."""
    connection.execute(lock)
    return connection.info.backend_pid


def end_backends(cluster: Cluster, pids: object) -> None:
    cluster.run("SELECT pg_terminate_backend(pid) FROM unnest(%s::integer[]) AS pid", pids)


def test_procrastinate_leaves_a_job_running_for_ever_when_its_outcome_is_lost_on_the_way(
    plain_jobs: Jobs, start_plain: Start, proxy: Proxy
) -> None:
    broken = proxy.break_request("procrastinate_finish_job")
    job_id = plain_jobs.defer("answer", text="done")
    worker = start_plain(proxy.plain_url)

    until(broken.happened.is_set, "losing the outcome")
    later = plain_jobs.defer("answer", text="done")
    plain_jobs.becomes(later, "succeeded")

    assert worker.lives
    assert plain_jobs.status(job_id) == "doing"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_outcome_is_stored_once_when_the_connection_breaks_during_the_ack(
    jobs: Jobs, start: Start, proxy: Proxy, way: Break
) -> None:
    broken = way(proxy, "the-answer")
    worker = start(proxy.url)
    job_id = jobs.defer("answer", text="the-answer")

    until(broken.happened.is_set, "breaking the ack")

    jobs.ends(job_id, "succeeded")
    assert worker.lives


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_failure_is_stored_once_when_the_connection_breaks_during_the_ack(
    jobs: Jobs, start: Start, proxy: Proxy, way: Break
) -> None:
    broken = way(proxy, "no such luck")
    start(proxy.url)
    job_id = jobs.defer("fail", reason="no such luck")

    until(broken.happened.is_set, "breaking the ack")

    jobs.ends(job_id, "failed")
    assert jobs.status(job_id) == "failed"


def test_a_claimed_job_that_the_worker_never_heard_of_runs_all_the_same(
    jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    broken = proxy.drop_answer_with("a-mark")
    worker = start(proxy.url)
    job_id = jobs.defer("answer", text="a-mark")

    until(broken.happened.is_set, "losing the claimed job")

    jobs.becomes(job_id, "succeeded")
    assert worker.lives


def test_a_transaction_of_a_job_that_broke_before_the_commit_left_nothing(
    cluster: Cluster, jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    broken = proxy.break_request("COMMIT", after="INSERT INTO effects")
    start(proxy.url)
    job_id = jobs.defer("write_again")

    jobs.ends(job_id, "retried succeeded")

    assert broken.happened.is_set()
    assert cluster.rows("SELECT job_id, claim FROM effects") == [{"job_id": job_id, "claim": 2}]


def test_a_job_whose_commit_went_unheard_ends_in_a_named_state(
    cluster: Cluster, jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    broken = proxy.drop_answer_to("COMMIT", after="INSERT INTO effects")
    start(proxy.url)
    job_id = jobs.defer("write")

    jobs.ends(job_id, "failed")

    assert broken.happened.is_set()
    assert jobs.status(job_id) == "failed"
    assert cluster.one("SELECT count(*) FROM effects") == 1


def test_a_backend_that_is_ended_during_the_claim_costs_nothing(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    worker = start()
    with cluster.connect(autocommit=False) as holder:
        pid = hold_up(holder, JOBS_TABLE)
        # This transaction alone may write: the claim of its own job waits for it to end.
        row = holder.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) "
            "VALUES ('work', 'write') RETURNING id"
        ).fetchone()
        assert row is not None
        end_backends(cluster, wait_for_lock(cluster, pid))

    jobs.ends(row["id"], "succeeded")
    assert worker.lives
    assert cluster.one("SELECT count(*) FROM effects") == 1


def test_a_backend_that_is_ended_during_the_ack_costs_nothing(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold", door="go")
    worker = start()
    worker.hears(f"running {job_id} 1")
    with cluster.connect(autocommit=False) as holder:
        pid = hold_up(holder, JOBS_TABLE)
        doors.open("go")
        worker.hears(f"leaving {job_id} 1")
        for _ in range(3):  # whatever waits now may be a claim: the ack is sent again each time
            end_backends(cluster, wait_for_lock(cluster, pid))

    jobs.ends(job_id, "succeeded")
    assert worker.lives


def test_a_backend_that_is_ended_during_the_commit_of_a_job_leaves_nothing_half_done(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    cluster.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$"
    )
    cluster.run(
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON effects "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    worker = start()
    with cluster.connect(autocommit=False) as holder:
        pid = hold_up(holder, "SELECT pg_advisory_xact_lock(42)")
        job_id = jobs.defer("write_again")
        end_backends(cluster, wait_for_lock(cluster, pid))

    jobs.ends(job_id, "retried succeeded")
    assert worker.lives
    assert cluster.rows("SELECT job_id, claim FROM effects") == [{"job_id": job_id, "claim": 2}]


def test_nothing_is_stuck_while_all_backends_are_ended_again_and_again(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    workers = [start() for _ in range(2)]
    cluster.run(
        "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) "
        """SELECT 'work', 'nap', '{"seconds": 0.1}' FROM generate_series(1, 200)"""
    )

    ended = 0
    left = "SELECT count(*) FROM taskhub.procrastinate_jobs"

    def end_some() -> bool:
        nonlocal ended
        ended += cluster.one(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        over = time.monotonic() + 0.25
        until(lambda: time.monotonic() > over, "a quarter of a second")
        return ended > 60 or bool(cluster.one(left) == 0)

    until(end_some, "ending sixty backends", seconds=60)
    jobs.drained()

    outcomes = cluster.rows(
        "SELECT DISTINCT count(*) AS stored FROM taskhub.attempts WHERE outcome = 'succeeded' "
        "GROUP BY job_id"
    )
    assert outcomes == [{"stored": 1}]
    assert cluster.one("SELECT count(DISTINCT job_id) FROM taskhub.attempts") == 200
    assert all(worker.lives for worker in workers)


def test_a_worker_that_is_cut_off_in_silence_is_replaced_and_comes_back(
    cluster: Cluster, jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    job_id = jobs.defer("hold_and_write", door="go")
    first = start(proxy.url)
    first.hears(f"running {job_id} 1")

    proxy.freeze()
    second = start()
    second.hears(f"written {job_id} 2")
    jobs.ends(job_id, "lost succeeded")
    second.terminate()
    assert second.ends() == 0
    proxy.heal()
    later = jobs.defer("write")

    jobs.ends(later, "succeeded", seconds=60)
    assert first.lives
    assert cluster.one("SELECT count(*) FROM effects WHERE job_id = %s", job_id) == 1


def test_a_worker_whose_connections_are_all_refused_waits_for_the_server(
    jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    worker = start(proxy.url)

    proxy.refuse()
    over = time.monotonic() + 3
    until(lambda: time.monotonic() > over, "three leases")
    proxy.heal()
    job_id = jobs.defer("write")

    jobs.ends(job_id, "succeeded", seconds=30)
    assert worker.lives


def test_a_slow_network_costs_no_lease(
    cluster: Cluster, jobs: Jobs, start: Start, proxy: Proxy
) -> None:
    start(proxy.url, lease_seconds=3)
    proxy.delay(0.1)

    done = [jobs.defer("nap", seconds=1) for _ in range(4)]
    start(lease_seconds=3, queues="none")  # it would rescue what seems dead

    for job_id in done:
        jobs.ends(job_id, "succeeded", seconds=40)


def test_a_job_that_takes_every_connection_of_the_pool_costs_no_lease(
    jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold_pool", door="go")
    worker = start(lease_seconds=2)
    worker.hears(f"running {job_id} 1")
    start(queues="none", lease_seconds=2)

    other_id = jobs.defer("nap", seconds=6)
    jobs.ends(other_id, "succeeded")
    doors.open("go")

    jobs.ends(job_id, "succeeded")
