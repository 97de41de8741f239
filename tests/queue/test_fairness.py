"""Fair keys, weighted queues and ageing: whoever has deferred how much, nobody starves."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from taskhub import Backoff, Hub, Snooze, Status, db
from taskhub.queue import FairKey, actions, insight, sql
from taskhub.queue.acks import Claimed, Succeeded
from taskhub.queue.shares import Shares
from taskhub.queue.tick import Ticker

INSERT = """
INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, priority, fair_key)
SELECT %s, 't', %s, %s FROM generate_series(1, %s)
"""


class Fleet:
    """Registered workers that claim when told, and whose jobs take no time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.loop = asyncio.new_event_loop()
        self.admin = psycopg.connect(url, autocommit=True)
        self.connection = self.loop.run_until_complete(
            psycopg.AsyncConnection.connect(url, autocommit=True)
        )

    def worker(self, queues: Any = None, **how: Any) -> Ticker:
        row = self.admin.execute(
            sql.load("register_worker", "taskhub"),
            {
                "host": "h", "pid": 1, "name": "n", "version": "0", "queues": None, "tasks": [],
                "crons": [], "versions": "{}", "concurrency": 1, "lease_seconds": 60.0,
            },
        ).fetchone()  # fmt: skip
        assert row is not None
        return Ticker("taskhub", int(row[0]), queues, **how)

    def defer(self, fair_key: str | None, jobs: int, queue: str = "q", priority: int = 0) -> None:
        self.admin.execute(INSERT, (queue, priority, fair_key, jobs))

    def claim(self, worker: Ticker, slots: int, done: list[Claimed] | None = None) -> list[Claimed]:
        """What a worker claims that looks again where it must, before it says that there is nothing."""
        acks = [Succeeded(job) for job in done or ()]
        must_sweep = False
        for _ in range(50):
            answer = self.loop.run_until_complete(
                worker.tick(self.connection, acks, slots, must_sweep=must_sweep)
            )
            if answer.claimed or (must_sweep and not answer.has_more):
                return answer.claimed
            acks, must_sweep = [], True
        raise AssertionError("there is always more to do, and nothing to claim")

    def keys(self, worker: Ticker, slots: int, rounds: int = 1) -> Counter[str | None]:
        """Whose jobs so many claims give."""
        ids = [job.id for _ in range(rounds) for job in self.claim(worker, slots)]
        rows = self.admin.execute(
            "SELECT fair_key FROM taskhub.procrastinate_jobs WHERE id = ANY(%s)", (ids,)
        )
        return Counter(row[0] for row in rows)

    def close(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()
        self.admin.close()


@contextmanager
def opened(hub: Hub) -> Iterator[Fleet]:
    made = Fleet(db.conninfo(hub.url))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def fleet(hub: Hub) -> Iterator[Fleet]:
    with opened(hub) as made:
        yield made


# Fair keys


def test_a_key_that_comes_late_does_not_wait_for_all_of_an_earlier_one(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.defer("big", 500)
    fleet.claim(worker, 10)
    fleet.defer("small", 3)

    # A window of two claims was drawn before it came.
    assert fleet.keys(worker, 10, rounds=3)["small"] == 3


@pytest.mark.parametrize("slots", [1, 7])
def test_keys_share_a_queue_by_their_weights(hub: Hub, fleet: Fleet, slots: int) -> None:
    hub.weigh("q", "gold", 3)
    for key in ("bronze", "gold"):
        fleet.defer(key, 100)

    claimed = fleet.keys(fleet.worker(), slots, rounds=56 // slots)

    assert abs(claimed["gold"] - 42) <= 2


def test_jobs_without_a_key_count_as_one_key(fleet: Fleet) -> None:
    fleet.defer(None, 200)
    for key in ("a", "b"):
        fleet.defer(key, 200)

    claimed = fleet.keys(fleet.worker(), 10, rounds=9)

    assert all(abs(claimed[key] - 30) <= 2 for key in (None, "a", "b"))


def test_within_a_key_jobs_start_in_order_and_higher_priorities_first(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.defer("a", 5)
    fleet.defer("a", 5, priority=1)
    fleet.defer("b", 5)

    claimed = [job for _ in range(7) for job in fleet.claim(worker, 3)]

    assert [job.priority for job in claimed] == [1] * 5 + [0] * 10
    mine = [job.id for job in claimed if job.id <= 10]
    assert mine == [6, 7, 8, 9, 10, 1, 2, 3, 4, 5]


def test_a_key_that_defers_one_job_at_a_time_gets_no_more_than_its_share(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.defer("many", 100)
    claimed: Counter[str | None] = Counter()
    for _ in range(40):
        fleet.defer("single", 1)
        claimed += fleet.keys(worker, 1)

    assert claimed["many"] >= 18


def test_two_workers_share_the_turns_and_claim_no_job_twice(fleet: Fleet) -> None:
    workers = [fleet.worker(), fleet.worker()]
    for key in ("a", "b", "c"):
        fleet.defer(key, 30)

    claimed = [job.id for _ in range(9) for worker in workers for job in fleet.claim(worker, 5)]

    assert sorted(claimed) == list(range(1, 91))


def test_a_key_is_forgotten_when_its_turn_comes_and_it_has_no_jobs(fleet: Fleet) -> None:
    worker = fleet.worker()
    for n in range(30):
        fleet.defer(f"key:{n}", 1)
    while fleet.claim(worker, 5):
        pass
    fleet.claim(worker, 5)

    assert fleet.admin.execute("SELECT count(*) FROM taskhub.fair_keys").fetchone() == (0,)


def test_what_it_takes_to_forget_keys_does_not_grow_with_what_waits(fleet: Fleet) -> None:
    fleet.admin.execute("ANALYZE")  # it is all planned for the empty table
    fleet.defer("big", 4000)
    for n in range(100):
        fleet.admin.execute(
            "INSERT INTO taskhub.fair_keys (queue_name, priority, fair_key, turn) VALUES ('q', 0, %s, 0)",
            (f"key:{n}",),
        )
    row = fleet.admin.execute(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT taskhub.forget_turns_v1('q', 0, "
        "ARRAY(SELECT ctid FROM taskhub.fair_keys))"
    ).fetchone()

    assert fleet.admin.execute("SELECT count(*) FROM taskhub.fair_keys").fetchone() == (0,)
    assert row is not None
    assert row[0][0]["Plan"]["Shared Hit Blocks"] < 3000


def test_what_returns_takes_a_turn_again_and_runs(hub: Hub) -> None:
    seen: Counter[int] = Counter()

    @hub.task(fair_key="tenant:{tenant}", retry=Backoff(max_attempts=3, first_seconds=0.01))
    async def returns(tenant: int, n: int) -> None:
        seen[n] += 1
        if seen[n] == 1:
            raise Snooze(0.02) if n % 2 else ValueError

    jobs = [returns.defer(n % 3, n) for n in range(12)]
    jobs += [returns.options(delay=0.05).defer(0, 12), returns.options(lock="a").defer(0, 13)]
    jobs += [returns.options(limit="l", at_most=1).defer(1, n) for n in (14, 15)]
    for _ in range(50):
        hub.run_worker(wait=False)
        if all(job.status() is Status.SUCCEEDED for job in jobs):
            break

    assert set(seen.values()) == {2}
    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


def test_a_failed_job_that_somebody_retries_takes_a_turn(hub: Hub, fleet: Fleet) -> None:
    fleet.defer("a", 1)
    fleet.admin.execute("UPDATE taskhub.procrastinate_jobs SET status = 'failed', gate = 0")
    actions.retry(hub, [1])

    assert fleet.keys(fleet.worker(), 5) == {"a": 1}


def test_a_dead_worker_s_job_takes_a_turn(fleet: Fleet) -> None:
    fleet.defer("a", 1)
    fleet.claim(fleet.worker(), 5)
    fleet.admin.execute("DELETE FROM taskhub.procrastinate_workers")
    asked = {"lease_seconds": 0.0, "worker_ids": None, "what": "x"}
    fleet.admin.execute(sql.load("rescue_jobs", "taskhub"), asked)

    assert fleet.keys(fleet.worker(), 5) == {"a": 1}


def test_a_job_of_a_paused_task_does_not_hold_up_its_key(hub: Hub, fleet: Fleet) -> None:
    hub.pause(task="held")
    fleet.admin.execute(
        "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, fair_key) "
        "SELECT 'q', 'held', 'a' FROM generate_series(1, 100)"
    )
    fleet.defer("a", 1)
    fleet.defer("b", 1)

    assert fleet.keys(fleet.worker(), 5) + fleet.keys(fleet.worker(), 5) == {"a": 1, "b": 1}
    hub.resume(task="held")
    assert fleet.keys(fleet.worker(), 200, rounds=2) == {"a": 100}


def test_a_key_whose_note_is_lost_is_found_by_the_sweep(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.defer("a", 1)
    fleet.admin.execute("DELETE FROM taskhub.fair_notes")
    assert fleet.claim(worker, 5) == []
    fleet.admin.execute(
        sql.load("sweep_turns", "taskhub"), {"queue": "", "lane": -(2**31), "key": ""}
    )

    assert len(fleet.claim(worker, 5)) == 1


def test_plain_procrastinate_workers_take_jobs_with_fair_keys(fleet: Fleet) -> None:
    fleet.defer("a", 2)
    ids = [
        fleet.admin.execute("SELECT id FROM taskhub.procrastinate_fetch_job_v2(NULL, 1)").fetchone()
        for _ in range(2)
    ]

    assert ids == [(1,), (2,)]


def test_the_keys_of_a_queue_are_listed_with_what_waits(hub: Hub, fleet: Fleet) -> None:
    fleet.defer("a", 3)
    fleet.defer("b", 1, priority=1)
    fleet.defer("b", 1)
    hub.weigh("q", "b", 5)

    assert insight.fair_keys(hub, "q") == [FairKey("a", 3, 1), FairKey("b", 2, 5)]
    assert len(insight.fair_keys(hub, "q", limit=1)) == 1
    hub.weigh("q", "b", 1)
    assert [key.weight for key in hub.fair_keys("q")] == [1, 1]


@pytest.mark.parametrize("weight", [0, -1, 1001, 1.5, True])
def test_a_weight_that_can_be_none_is_refused(hub: Hub, weight: Any) -> None:
    with pytest.raises(ValueError, match="weight must be a whole number from 1 to 1000, got"):
        hub.weigh("q", "a", weight)
    with pytest.raises(ValueError, match="weight of 'q' must be a whole number"):
        hub.worker(queues={"q": weight})


def test_many_jobs_at_once_carry_their_fair_key(hub: Hub, fleet: Fleet) -> None:
    @hub.task(name="t", queue="q", fair_key="tenant:{tenant}")
    async def work(tenant: int) -> None: ...

    work.defer_many([{"tenant": n // 300} for n in range(600)])

    assert fleet.keys(fleet.worker(), 10) == {"tenant:0": 5, "tenant:1": 5}


# Weighted queues


@pytest.mark.parametrize("slots", [1, 10])
def test_queues_of_one_worker_share_it_by_weight(fleet: Fleet, slots: int) -> None:
    worker = fleet.worker(["indexing", "mail"], weights={"indexing": 4, "mail": 1})
    for queue in ("indexing", "mail"):
        fleet.defer(None, 100, queue)

    jobs = [job for _ in range(50 // slots) for job in fleet.claim(worker, slots)]

    assert Counter(job.queue_name for job in jobs) == {"indexing": 40, "mail": 10}


def test_what_one_queue_leaves_the_others_take(fleet: Fleet) -> None:
    worker = fleet.worker(["indexing", "mail"], weights={"indexing": 4, "mail": 1})
    fleet.defer(None, 30, "mail")

    assert [len(fleet.claim(worker, 10)) for _ in range(4)] == [10, 10, 10, 0]


def test_a_queue_that_was_idle_has_saved_nothing_up(fleet: Fleet) -> None:
    worker = fleet.worker(["a", "b"], weights={"a": 1, "b": 1})
    fleet.defer(None, 100, "a")
    for _ in range(5):
        fleet.claim(worker, 10)
    fleet.defer(None, 100, "b")

    jobs = [job for _ in range(2) for job in fleet.claim(worker, 10)]

    assert Counter(job.queue_name for job in jobs) == {"a": 10, "b": 10}


def test_a_worker_runs_weighted_queues(hub: Hub) -> None:
    @hub.task()
    async def nothing() -> None: ...

    jobs = [nothing.options(queue=queue).defer() for queue in "ab" for _ in range(5)]
    hub.run_worker(queues={"a": 3, "b": 1}, wait=False)

    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


@given(
    weights=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=2),
    slots=st.lists(st.integers(1, 12), min_size=30, max_size=60),
)
def test_shares_hold_to_a_job_whatever_slots_come_free(
    weights: dict[str, int], slots: list[int]
) -> None:
    shares, total = Shares(weights), Counter[str]()
    for free in slots:
        order, drawn = shares.draw(free)
        assert set(order) == set(weights)
        shares.took(drawn, [queue for queue, jobs in drawn.items() for _ in range(jobs)])
        total.update(drawn)

    for queue, weight in weights.items():
        fair = sum(slots) * weight / sum(weights.values())
        assert abs(total[queue] - fair) <= len(weights)


# Ageing


def age(fleet: Fleet, seconds: int, where: str) -> None:
    fleet.admin.execute(
        "UPDATE taskhub.procrastinate_jobs "
        f"SET deferred_at = now() - interval '{seconds} seconds' WHERE {where}"
    )


@pytest.mark.parametrize(("seconds", "first"), [(0, 1), (119, 1), (121, 0)])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_job_gains_a_priority_step_by_waiting(
    fleet: Fleet, seconds: int, first: int, is_known: bool
) -> None:
    worker = fleet.worker(ageing_seconds=60.0)
    if is_known:
        for priority in (0, 1):
            fleet.defer(None, 1, priority=priority)
        assert len(fleet.claim(worker, 2)) == 2
    fleet.defer(None, 1)
    fleet.defer(None, 5, priority=1)
    age(fleet, seconds, "priority = 0 AND status = 'todo'")

    assert [job.priority for job in fleet.claim(worker, 1)] == [first]
    assert [job.priority for job in fleet.claim(worker, 1)] == [1]  # the next of the other is young


def test_without_ageing_a_higher_priority_always_comes_first(fleet: Fleet) -> None:
    fleet.defer(None, 1)
    fleet.defer(None, 1, priority=1)
    age(fleet, 10**6, "priority = 0")

    assert [job.priority for job in fleet.claim(fleet.worker(), 1)] == [1]


# Nothing starves

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 1), st.integers(1, 30)),
        st.integers(1, 8),
    ),
    max_size=12,
)


@settings(
    max_examples=examples(8, 20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, slots=st.integers(1, 8))
def test_every_job_is_claimed_within_the_bound_that_is_promised(
    hub: Hub, steps: list[Any], slots: int
) -> None:
    with opened(hub) as fleet:
        fleet.admin.execute(
            "TRUNCATE taskhub.procrastinate_jobs, taskhub.fair_keys, taskhub.fair_lanes, "
            "taskhub.fair_notes, taskhub.fair_weights"
        )
        worker = fleet.worker()
        for step in steps:
            if isinstance(step, int):
                fleet.claim(worker, step)
            else:
                fleet.defer(step[0], step[2], priority=step[1])
        # One that comes now, in the higher class, against whatever waits there and whatever comes.
        fleet.defer("late", 1, priority=1)
        window, keys = 2 * max([slots, *(s for s in steps if isinstance(s, int))]), 5
        fleet.defer("a", 100, priority=1)
        claims = 0
        while not (claimed := fleet.keys(worker, slots))["late"]:
            claims += claimed.total()
            fleet.defer("b", slots, priority=1)
            assert claims <= 2 * window + keys + slots


def test_no_more_than_a_window_of_a_key_s_jobs_is_ready_at_a_time(
    fleet: Fleet,
) -> None:
    worker = fleet.worker()
    fleet.defer("big", 20_000)
    fleet.defer("small", 1)

    assert fleet.keys(worker, 10) == {"big": 9, "small": 1}
    rows = fleet.admin.execute(
        "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 0 AND status = 'todo'"
    ).fetchone()
    assert rows == (10,)  # a window, not a million
