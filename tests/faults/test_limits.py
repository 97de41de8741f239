"""Limits while workers are killed and paused: never exceeded in the table, and never stuck."""

import random
from typing import Any

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs, Start
from tests.waiting import until

JOBS = 160
KILLS = 5
# What a look at the table sees at one moment, over every name under which jobs are counted.
MOST_RUNNING = {
    "key": "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM taskhub.procrastinate_jobs "
    "WHERE status = 'doing' GROUP BY limit_key) AS counted",
    "task": "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status = 'doing'",
    "queue": "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status = 'doing'",
}


@pytest.mark.parametrize("kind", ["key", "task", "queue"])
def test_a_limit_is_never_exceeded_in_the_table_while_workers_are_killed(
    cluster: Cluster, jobs: Jobs, start: Start, kind: str
) -> None:
    columns: list[dict[str, Any]] = [{}, {}]
    if kind == "key":
        columns = [{"limit_key": name, "at_most": 2} for name in ("a", "b")]
    else:
        name = "task:doze" if kind == "task" else "queue:work"
        cluster.run("SELECT taskhub.rule_v1(%s, 'limit', 2, NULL, NULL)", name)
    cluster.run(NAPS)
    workers = [start() for _ in range(3)]
    for n in range(JOBS):
        jobs.defer("doze", name=str(n % 2 if kind == "key" else 0), columns=columns[n % 2])
    order = random.Random(5)  # noqa: S311 - a seed makes a failure come again
    kills = most = 0

    with cluster.connect() as watcher:

        def look() -> bool:
            nonlocal most
            row = watcher.execute(MOST_RUNNING[kind].encode()).fetchone()
            assert row is not None
            [now] = row.values()
            most = max(most, now)
            assert most <= 2
            return bool(now)

        def may_kill_or_is_over() -> bool:
            return look() or not jobs.one(LEFT)

        while kills < KILLS:
            until(may_kill_or_is_over, "a running job", seconds=60)
            if not jobs.one(LEFT):
                break
            victim = order.randrange(3)
            workers[victim].kill()
            look()
            workers[victim] = start()
            kills += 1

        def is_over() -> bool:
            look()
            return not jobs.one(LEFT)

        until(is_over, "the end of all jobs", seconds=120)

    assert kills >= 3
    assert most == 2
    assert jobs.one("SELECT count(*) FROM taskhub.attempts WHERE outcome = 'succeeded'") == JOBS
    assert jobs.one(OVERLAP) <= 2


LEFT = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE status IN ('todo', 'doing')"
NAPS = """CREATE TABLE naps (
    name text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL
)"""
# From the record that the jobs keep: how many stored runs of a key were under way when one of them began.
OVERLAP = """
SELECT coalesce(max(n), 0) FROM (
    SELECT (
        SELECT count(*) FROM naps AS b
        WHERE b.name = a.name AND b.began_at <= a.began_at AND b.ended_at > a.began_at
    ) AS n
    FROM naps AS a
) AS counted
"""


def test_a_killed_worker_gives_its_slots_back(jobs: Jobs, start: Start, doors: Doors) -> None:
    limited = {"limit_key": "a", "at_most": 1}
    held = jobs.defer("hold", door="go", columns=limited)
    behind = jobs.defer("nothing", columns=limited)
    first = start()
    first.hears(f"running {held} 1")

    first.kill()
    doors.open("go")
    start()

    jobs.ends(held, "lost succeeded")
    jobs.ends(behind, "succeeded")


def test_a_worker_that_wakes_up_late_holds_no_slot(jobs: Jobs, start: Start, doors: Doors) -> None:
    limited = {"limit_key": "a", "at_most": 1}
    held = jobs.defer("hold", door="go", columns=limited)
    behind = jobs.defer("nothing", columns=limited)
    first = start()
    first.hears(f"running {held} 1")

    first.pause()
    start()
    until(lambda: jobs.outcomes(held).startswith("lost"), "the rescue", seconds=60)
    first.resume()
    doors.open("go")

    jobs.ends(held, "lost succeeded")
    jobs.ends(behind, "succeeded")
    assert jobs.one(LEFT) == 0
