"""Notifications are a hint: forged, malformed, missing or late ones change nothing."""

import psycopg

from taskhub import db
from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.waiting import until

LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%%'"
# Longer than any test waits, so that only a notification can wake the worker.
DEAF_SECONDS = {"poll_seconds": 300, "idle_poll_seconds": 300}


def test_procrastinate_aborts_a_job_that_anybody_names_in_a_notification(
    plain_jobs: Jobs, start_plain: Start
) -> None:
    job_id = plain_jobs.defer("hold_async_once", door="go")
    start_plain().hears(f"running {job_id}")

    forged = f'{{"type": "abort_job_requested", "job_id": {job_id}}}'
    plain_jobs.one("SELECT pg_notify('procrastinate_any_queue_v1', %s)::text", forged)

    plain_jobs.becomes(job_id, "aborted")


def test_forged_and_malformed_notifications_do_nothing(
    cluster: Cluster, jobs: Jobs, start: Start, doors: Doors
) -> None:
    job_id = jobs.defer("hold_async_once", door="go")
    worker = start()
    worker.hears(f"running {job_id} 1")
    cluster.run("CREATE ROLE stranger LOGIN")
    url = cluster.url.replace("taskhub@", "stranger@")

    with psycopg.connect(db.conninfo(db.address(url)), autocommit=True) as stranger:
        for channel in ("taskhub", "procrastinate_any_queue_v1", "procrastinate_queue_v1#work"):
            for payload in (
                "not json",
                "",
                "[]",
                "{}",
                "x" * 7999,
                "work",
                f'{{"type": "abort_job_requested", "job_id": {job_id}}}',
                f'{{"type": "job_inserted", "job_id": {job_id}}}',
                '{"type": "job_inserted", "job_id": "1; DROP TABLE x"}',
            ):
                stranger.execute("SELECT pg_notify(%s, %s)", (channel, payload))
    later = jobs.defer("nothing")
    jobs.ends(later, "succeeded")
    doors.open("go")

    jobs.ends(job_id, "succeeded")
    assert worker.lives


def test_notifications_are_heard_again_after_a_restart_that_outlasted_many_tries(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    worker = start(**DEAF_SECONDS)
    until(lambda: cluster.one(LISTENING) == 1, "listening")

    cluster.stop("immediate")
    worker.logs("notifications are not heard", seconds=60)
    cluster.start()
    until(lambda: cluster.one(LISTENING) == 1, "listening again", seconds=60)
    job_id = jobs.defer("nothing")

    jobs.ends(job_id, "succeeded")
    assert worker.lives


def test_a_listener_whose_backend_was_ended_listens_again(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    worker = start(**DEAF_SECONDS)
    until(lambda: cluster.one(LISTENING) == 1, "listening")
    pid = cluster.one("SELECT pid FROM pg_stat_activity WHERE query ILIKE 'LISTEN%%'")

    cluster.run("SELECT pg_terminate_backend(%s)", pid)
    again = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%%' AND pid <> %s"
    until(lambda: cluster.one(again, pid) == 1, "listening again", seconds=60)
    job_id = jobs.defer("nothing")

    jobs.ends(job_id, "succeeded")
    assert worker.lives


def test_without_notifications_jobs_are_found_by_looking(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    cluster.run("UPDATE taskhub.hub SET notify = false")
    start(notify="no")

    job_id = jobs.defer("nothing")

    jobs.ends(job_id, "succeeded")
