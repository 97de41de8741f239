"""Transactional tasks while their workers are killed: what they write happens once."""

import subprocess
import sys
from pathlib import Path

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
    argv = [sys.executable, str(SLAUGHTER), cluster.url, str(KILLS), "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == f"killed {KILLS}\n"
            interrupted = cluster.one(
                "SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'"
            )
            until(lambda: cluster.one(left) == 0, "running all jobs", seconds=120)
        finally:
            program.terminate()

    print(f"{KILLS} kills, {interrupted} runs lost with them")
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
