"""Promise 2: every committed job runs at least once, or ends in a visible, named state."""

import signal
from typing import Any

import psycopg

from taskhub import db
from tests.promises.conftest import Start, line
from tests.waiting import until


def one(url: str, query: str) -> Any:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row is not None else None


def defer(url: str, task: str, queue: str = "shop") -> int:
    with psycopg.connect(db.conninfo(db.address(url))) as connection:
        row: Any = connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) VALUES (%s, %s) RETURNING id",
            (queue, task),
        ).fetchone()
        return int(row[0])


def test_a_job_whose_deferrer_was_killed_after_the_commit_runs(shop: str, start: Start) -> None:
    deferrer = start("order")
    assert line(deferrer) == "written"
    assert deferrer.stdin is not None
    deferrer.stdin.write("go on\n")
    deferrer.stdin.flush()
    assert line(deferrer) == "committed"
    deferrer.kill()

    start("worker")

    until(lambda: one(shop, "SELECT count(*) FROM shipped") == 1, "shipping the order")
    until(
        lambda: one(shop, "SELECT outcome::text FROM taskhub.attempts") == "succeeded",
        "storing the outcome",
    )


def test_a_job_whose_worker_was_killed_runs_again_elsewhere(shop: str, start: Start) -> None:
    job_id = defer(shop, "linger")
    first = start("worker")
    assert line(first) == f"running {job_id} 1"

    first.kill()
    second = start("worker")

    assert line(second) == f"running {job_id} 2"
    until(
        lambda: (
            one(shop, "SELECT string_agg(outcome::text, ' ' ORDER BY claim) FROM taskhub.attempts")
            == "lost succeeded"
        ),
        "storing both attempts",
    )


def test_a_job_whose_worker_was_paused_beyond_its_lease_runs_elsewhere_and_is_stored_once(
    shop: str, start: Start
) -> None:
    job_id = defer(shop, "linger")
    first = start("worker")
    assert line(first) == f"running {job_id} 1"
    first.send_signal(signal.SIGSTOP)
    second = start("worker")
    assert line(second) == f"running {job_id} 2"
    until(lambda: one(shop, "SELECT count(*) FROM taskhub.attempts") == 2, "storing the second run")

    first.send_signal(signal.SIGCONT)

    until(
        lambda: one(shop, "SELECT count(*) FROM taskhub.procrastinate_workers") == 2,
        "coming back as a new worker",
    )
    assert one(shop, "SELECT count(*) FROM taskhub.attempts") == 2


def test_a_job_that_kills_its_worker_every_time_ends_as_a_dead_letter(
    shop: str, start: Start
) -> None:
    job_id = defer(shop, "kill_worker", "poison")

    for _ in range(5):
        worker = start("worker", "poison")
        worker.wait(timeout=20)
        assert worker.returncode == -signal.SIGKILL
    start("worker", "shop")

    until(
        lambda: (
            one(shop, f"SELECT status FROM taskhub.procrastinate_jobs WHERE id = {job_id}")
            == "failed"
        ),
        "giving the job up",
    )
    assert one(shop, "SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'") == 5


def test_a_drain_gives_running_jobs_back_and_uses_no_attempt(shop: str, start: Start) -> None:
    job_id = defer(shop, "linger")
    worker = start("worker")
    assert line(worker) == f"running {job_id} 1"

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=20) == 0
    assert one(shop, "SELECT outcome::text FROM taskhub.attempts") == "interrupted"
    assert (
        one(
            shop,
            f"SELECT status::text || attempts FROM taskhub.procrastinate_jobs WHERE id = {job_id}",
        )
        == "todo0"
    )
    assert one(shop, "SELECT stop_reason FROM taskhub.workers") == "stopped"
