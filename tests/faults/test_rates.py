"""Limits and rates of every kind at once, while workers are killed, stopped and cut off."""

from typing import Any

from psycopg import Connection

from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs, Start
from tests.faults.programs import Program
from tests.waiting import until

AT_MOST = 2
JOBS = 2000
RATE, BURST = 8.0, 3.0
# One statement sees one moment: live claims under each name that limits them.
MOST_RUNNING = """
SELECT coalesce(max(n), 0) AS n FROM (
    SELECT count(*) AS n FROM taskhub.procrastinate_jobs
    WHERE status = 'doing' AND queue_name <> 'rated' GROUP BY queue_name
) AS counted
"""
BACKLOG = """
INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, limit_key, at_most)
SELECT kind.queue, kind.task, kind.args::jsonb, kind.key, CASE kind.key WHEN 'k' THEN %s END
FROM (VALUES
    ('keyed', 'nap', '{"seconds": 0.2}', 'k'),
    ('queued', 'nap', '{"seconds": 0.2}', NULL),
    ('tasked', 'nap_too', '{"seconds": 0.2}', NULL),
    ('rated', 'nothing', '{}', 'r')
) AS kind (queue, task, args, key)
CROSS JOIN generate_series(1, %s)
"""
LEFT = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status IN ('todo', 'doing')"
# Every claim of a rated job that there ever was takes one token, also one that was lost.
STARTS = """
SELECT array_agg(extract(epoch FROM started_at)::double precision ORDER BY started_at)
FROM taskhub.attempts WHERE queue_name = 'rated'
"""
CUT_OFF = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


HOLDERS = """
SELECT array_agg(DISTINCT w.pid) FROM taskhub.procrastinate_jobs AS j
JOIN taskhub.workers AS w ON w.id = j.worker_id WHERE j.status = 'doing'
"""
LOST = "SELECT count(*) FROM taskhub.attempts WHERE outcome = 'lost'"


class Fleet:
    """Three workers that things happen to, and whoever watches what they hold."""

    def __init__(self, watcher: Connection[Any], jobs: Jobs, start: Start) -> None:
        self.watcher = watcher
        self.jobs = jobs
        self.start = start
        self.workers = [start() for _ in range(3)]
        self.most = 0

    def look(self) -> None:
        row = self.watcher.execute(MOST_RUNNING.encode()).fetchone()
        assert row is not None
        self.most = max(self.most, row["n"])
        assert self.most <= AT_MOST

    def busy(self) -> Program | None:
        """A worker that holds jobs."""
        self.look()
        pids = self.jobs.one(HOLDERS) or []
        return next((worker for worker in self.workers if worker.process.pid in pids), None)

    def lost(self) -> int:
        self.look()
        return int(self.jobs.one(LOST))

    def succeeded(self) -> int:
        self.look()
        return int(
            self.jobs.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'succeeded'")
        )

    def victim(self) -> Program:
        found = until(self.busy, "a job of some worker")
        assert found is not None
        return found

    def kill(self) -> None:
        victim = self.victim()
        victim.kill()
        self.workers.remove(victim)
        self.workers.append(self.start())

    def stop(self) -> None:
        """Longer than its lease."""
        before = self.lost()
        victim = self.victim()
        victim.pause()
        until(lambda: self.lost() > before, "a rescue")
        victim.resume()

    def cut_off(self) -> None:
        self.victim()
        self.watcher.execute(CUT_OFF.encode())

    def is_over(self) -> bool:
        self.look()
        return not self.jobs.one(LEFT)


def test_no_limit_and_no_rate_is_exceeded_under_any_fault(
    cluster: Cluster, jobs: Jobs, start: Start
) -> None:
    for name in ("queue:queued", "task:nap_too"):
        cluster.run("SELECT taskhub.rule_v1(%s, 'limit', %s, NULL, NULL)", name, AT_MOST)
    rate = f'{{"rate": {RATE}, "burst": {BURST}}}'
    cluster.run("SELECT taskhub.rule_v1('r', 'limit', NULL, NULL, NULL, %s)", rate)
    with cluster.connect() as watcher:
        fleet = Fleet(watcher, jobs, start)
        cluster.run(BACKLOG, AT_MOST, JOBS)

        for happen in (fleet.kill, fleet.stop, fleet.cut_off, fleet.kill):
            happen()
        before = fleet.succeeded()
        until(lambda: fleet.succeeded() > before + 20, "work that goes on")
        cluster.run("DELETE FROM taskhub.procrastinate_jobs WHERE status = 'todo'")
        until(fleet.is_over, "the end of the last jobs", seconds=60)
        lost = fleet.lost()

    assert fleet.most == AT_MOST
    assert lost > 0
    assert not jobs.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'failed'")
    record = jobs.one(STARTS)
    for i, began in enumerate(record):
        for n, at in enumerate(record[i:], start=1):
            assert n <= BURST + RATE * (at - began) + 1e-3
