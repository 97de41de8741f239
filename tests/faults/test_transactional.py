"""Transactional tasks while their workers are killed: what they write happens once."""

import subprocess
import sys
from pathlib import Path

from taskhub import Hub
from taskhub.queue import actions
from tests.faults.cluster import Cluster
from tests.waiting import until

SLAUGHTER = Path(__file__).with_name("slaughter.py")
JOBS = 6_000
KILLS = 500


def test_five_hundred_kills_leave_every_effect_once(cluster: Cluster) -> None:
    with cluster.connect() as connection:
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) "
            f"SELECT 'work', 'settle' FROM generate_series(1, {JOBS})"
        )
    left = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE queue_name = 'work'"
    hub = Hub(cluster.url)
    argv = [sys.executable, str(SLAUGHTER), cluster.url, str(KILLS), "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == f"killed {KILLS}\n"
            interrupted = cluster.one(
                "SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'"
            )
            until(
                lambda: cluster.one(f"{left} AND status <> 'failed'") == 0, "running", seconds=120
            )
            # One that was killed five times with its worker is a dead letter, with no effect at all.
            dead = cluster.rows(
                "SELECT id, lost, EXISTS (SELECT FROM effects AS e WHERE e.job_id = j.id) AS is_done "
                "FROM taskhub.procrastinate_jobs AS j WHERE status = 'failed'"
            )
            assert {(job["lost"], job["is_done"]) for job in dead} <= {(5, False)}
            actions.retry(hub, [job["id"] for job in dead])
            until(lambda: cluster.one(left) == 0, "running the dead letters", seconds=60)
        finally:
            hub.close()
            program.terminate()

    print(f"{KILLS} kills, {interrupted} runs lost with them, {len(dead)} dead letters")
    assert interrupted > KILLS / 10  # they died with jobs in hand
    assert cluster.one("SELECT count(*) FROM effects") == JOBS
    assert cluster.one("SELECT count(DISTINCT job_id) FROM effects") == JOBS
    follows = "SELECT count(DISTINCT args ->> 'job_id') FROM taskhub.procrastinate_jobs"
    assert cluster.one(follows) == JOBS
    assert cluster.one("SELECT count(*) FROM taskhub.procrastinate_jobs") == JOBS
    # The effect that stayed is the one of the claim that the history calls the successful one.
    assert (
        cluster.one(
            "SELECT count(*) FROM effects AS e JOIN taskhub.attempts AS a USING (job_id, claim) "
            "WHERE a.outcome = 'succeeded' AND (a.result)::text = e.job_id::text"
        )
        == JOBS
    )
