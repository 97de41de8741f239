"""Workers: who is there, what each runs, and what becomes of one that is asked to go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue import insight
from tests.dashboard.conftest import Browser
from tests.waiting import until


@contextmanager
def busy(hub: Hub, *, lock: str | None = None, more: int = 0) -> Iterator[int]:
    """A worker in this process that runs one job until this is over; the job's id.

    `more` jobs come behind it.
    """
    go_on = threading.Event()

    @hub.task(name="knit", queue="wool", lock=lock)
    def knit() -> None:
        go_on.wait(20)

    job, *_ = [knit.defer() for _ in range(1 + more)]
    thread = threading.Thread(target=lambda: hub.run_worker(queues=["wool"], wait=False))
    thread.start()
    try:
        until(lambda: insight.job(hub, job.id).status == "doing", "the job's start")
        yield job.id
    finally:
        go_on.set()
        thread.join()


@pytest.fixture
def lost(hub: Hub) -> int:
    """The id of a worker that died with a job."""

    @hub.task(name="knit", queue="wool")
    def knit() -> None: ...

    # For a lease after the server's start nobody is declared dead.
    aged = "SELECT pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => :lease)"
    with hub.engine.connect() as connection:
        until(
            lambda: connection.execute(text(aged), {"lease": hub.settings.lease_seconds}).scalar(),
            "the server's age",
            seconds=90,
        )
    job = knit.defer()
    with hub.engine.begin() as connection:
        worker_id: int = connection.execute(
            text("""
                INSERT INTO taskhub.procrastinate_workers (last_heartbeat)
                VALUES (now() - interval '1 hour') RETURNING id
            """)
        ).scalar_one()
        connection.execute(
            text("""
                UPDATE taskhub.procrastinate_jobs
                SET status = 'doing', worker_id = :worker, claim = 1, started_at = now() - interval '1 hour'
                WHERE id = :job
            """),
            {"worker": worker_id, "job": job.id},
        )
    return worker_id


def test_a_worker_is_shown_with_what_it_runs_and_drains(hub: Hub, browser: Browser) -> None:
    with busy(hub) as job_id:
        page = browser.get("/workers").text
        [worker] = insight.workers(hub)
        assert f"{job_id}" in page
        assert "knit" in page
        assert "live" in page

        form = {"id": str(worker.id), "reason": "new version", "back": "/workers"}
        after = browser.follow(browser.act("/workers/drain", form, page="/workers"))

        assert "1 of 1 workers were asked to drain." in after.text
        [worker] = insight.workers(hub)
        assert worker.state == "draining"
        [row] = insight.audit(hub)
        assert (row.action, row.reason, row.changed) == ("drain", "new version", 1)


def test_the_jobs_of_a_lost_worker_are_given_back(hub: Hub, browser: Browser, lost: int) -> None:
    assert "lost" in browser.get("/workers").text

    browser.act("/workers/rescue", {"id": str(lost)}, page="/workers")

    [job] = insight.jobs(hub)
    assert job.status == "todo"
    [row] = insight.audit(hub)
    assert (row.action, row.changed) == ("rescue", 1)


def test_a_worker_that_lives_keeps_its_jobs(hub: Hub, browser: Browser) -> None:
    with busy(hub) as job_id:
        [worker] = insight.workers(hub)
        form = {"id": str(worker.id), "back": "/workers"}

        after = browser.follow(browser.act("/workers/rescue", form, page="/workers"))

        assert "renewed its lease" in after.text
        assert insight.job(hub, job_id).status == "doing"


@pytest.mark.parametrize("ids", [[], ["x"], ["9" * 30]])
def test_nothing_selected_is_told(browser: Browser, ids: list[str]) -> None:
    answer = browser.act("/workers/drain", {"id": ids}, page="/workers")

    assert answer.status_code == 400
    assert "Nothing was selected." in answer.text
