"""The schedulers of a fleet are killed, paused and cut off; each tick has exactly one job."""

import random
import time
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Start
from tests.faults.programs import Program
from tests.faults.test_clock import clock
from tests.waiting import until

TICKS = (
    "SELECT (args->>'scheduled_for')::timestamptz AS tick FROM taskhub.procrastinate_jobs "
    "WHERE task_name = 'second' ORDER BY 1"
)
COUNT = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE task_name = 'second'"


def each_second_once(cluster: Cluster) -> bool:
    ticks = [row["tick"] for row in cluster.rows(TICKS)]
    return {b - a for a, b in pairwise(ticks)} == {timedelta(seconds=1)}


def test_schedulers_that_are_killed_and_paused_at_the_tick_defer_each_one_exactly_once(
    cluster: Cluster, start: Start
) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret depends on it
    alive = [start(queues="work", schedules="yes") for _ in range(3)]
    paused: list[Program] = []
    kills = 0
    until(lambda: cluster.one(COUNT) >= 1, "the first tick")

    while kills < 12:
        # Into the moment in which they store the tick.
        phase = chance.uniform(0.0, 0.06)
        until(lambda: 0 <= time.time() % 1 - phase < 0.03, "the moment of a tick")  # noqa: B023
        victim = alive.pop(0)
        if kills % 4 == 3:
            victim.pause()
            paused.append(victim)
        else:
            victim.kill()
        kills += 1
        alive.append(start(queues="work", schedules="yes"))
    for program in paused:
        program.resume()
    seen = cluster.one(COUNT)
    until(lambda: cluster.one(COUNT) >= seen + 3, "more ticks, with those that were paused")

    assert each_second_once(cluster)


def test_a_server_that_dies_holds_up_ticks_and_loses_none(cluster: Cluster, start: Start) -> None:
    for _ in range(2):
        start(queues="work", schedules="yes")
    until(lambda: cluster.one(COUNT) >= 2, "two ticks")

    cluster.stop("immediate")
    cluster.start()
    seen = cluster.one(COUNT)
    until(lambda: cluster.one(COUNT) >= seen + 5, "the ticks of the outage and after", seconds=60)

    assert each_second_once(cluster)


@pytest.mark.parametrize("offset", ["+400d", "-400d"])
def test_a_worker_with_another_clock_defers_what_is_due_on_the_databases(
    cluster: Cluster, start: Start, offset: str
) -> None:
    start(**clock(offset), queues="work", schedules="yes")

    until(lambda: cluster.one(COUNT) >= 3, "three ticks")

    assert each_second_once(cluster)
    ahead = "SELECT max(mark) <= clock_timestamp() FROM taskhub.crons"
    assert cluster.one(ahead) is True
    yearly = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE task_name = 'yearly'"
    assert cluster.one(yearly) == 0
