"""Rates: no more tokens start than the bucket had, whoever lets the jobs go, and none waits for ever."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.examples import examples
from tests.waiting import until

from taskhub import Context, Hub, Status, db
from taskhub.queue import Limit
from taskhub.queue.worker import Worker

STARTS = """
SELECT extract(epoch FROM a.started_at)::double precision AS at, coalesce((args ->> 'n')::integer, 1) AS n
FROM taskhub.attempts AS a WHERE queue_name = :queue ORDER BY a.started_at
"""


def run(hub: Hub, statement: str, **parameters: Any) -> Any:
    with hub.engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        return result.scalar() if result.returns_rows else None


async def work(hub: Hub, is_over: Callable[[], bool], *workers: Worker) -> None:
    """Let workers work until it is over, with a deadline."""
    working = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        await asyncio.to_thread(until, is_over, "the end of the work")
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*working)
        await hub.close_async()


def finish(hub: Hub, *jobs: Any, workers: int = 2) -> None:
    def is_over() -> bool:
        return all(job.status() is Status.SUCCEEDED for job in jobs)

    asyncio.run(work(hub, is_over, *(hub.worker(concurrency=4) for _ in range(workers))))


def starts(hub: Hub, queue: str = "default") -> list[tuple[float, int]]:
    with hub.engine.connect() as connection:
        return [(r.at, r.n) for r in connection.execute(text(STARTS), {"queue": queue})]


def excess(record: list[tuple[float, int]], rate: float, burst: float) -> float:
    """By how much the worst window of the record is above burst + rate * its length."""
    worst = float("-inf")
    for i, (began, _) in enumerate(record):
        total = 0
        for at, tokens in record[i:]:
            total += tokens
            worst = max(worst, total - burst - rate * (at - began))
    return worst


def test_no_window_sees_more_tokens_start_than_burst_and_rate(hub: Hub) -> None:
    @hub.task(limit="api", tokens="{n}")
    async def call(n: int) -> None: ...

    hub.limit("api", per_second=50, burst=10)
    jobs = [call.defer(1 + n % 4) for n in range(40)]
    finish(hub, *jobs)

    record = starts(hub)
    assert excess(record, 50, 10) <= 1e-3
    # 100 tokens, 10 of them at once: as fast as it may be, and a busy machine.
    assert 1.6 < record[-1][0] - record[0][0] < 6


def test_jobs_that_were_let_go_before_their_worker_came_do_not_add_to_a_burst(hub: Hub) -> None:
    @hub.task(limit="api", queue="here")
    async def call() -> None: ...

    hub.limit("api", per_second=20, burst=5)
    jobs = [call.defer() for _ in range(15)]
    elsewhere = hub.worker(queues=["elsewhere"])

    def is_let_go() -> bool:
        return bool(run(hub, "SELECT count(*) = 5 FROM taskhub.procrastinate_jobs WHERE gate = 0"))

    asyncio.run(work(hub, is_let_go, elsewhere))
    # An hour in which its bucket would have been filled over and over.
    run(hub, "UPDATE taskhub.limit_states SET filled_at = filled_at - interval '1 hour'")
    finish(hub, *jobs)

    assert excess(starts(hub, "here"), 20, 5) <= 1e-3


def test_a_job_that_needs_more_than_the_bucket_holds_runs_and_the_next_ones_pay(hub: Hub) -> None:
    @hub.task(limit="api", tokens="{n}")
    async def call(n: int) -> None: ...

    hub.limit("api", per_second=100, burst=10)
    finish(hub, call.defer(60), call.defer(5))

    (first, _), (second, n) = starts(hub)
    assert n == 5
    assert second - first >= 0.549


def test_a_big_job_is_not_overtaken_by_small_ones(hub: Hub) -> None:
    order: list[int] = []

    @hub.task(limit="api", tokens="{n}")
    async def call(n: int) -> None:
        order.append(n)

    hub.limit("api", per_second=20, burst=10)
    finish(hub, *[call.defer(n) for n in (6, 9, 1, 1, 1)], workers=1)

    assert order == [6, 9, 1, 1, 1]


def test_a_rate_and_a_number_hold_together(hub: Hub) -> None:
    now = most = 0

    @hub.task(limit="api", at_most=9)
    async def call() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1

    hub.limit("api", per_second=1000, at_most=2)
    finish(hub, *[call.defer() for _ in range(12)])

    assert most == 2


def test_a_rate_that_is_set_while_jobs_are_ready_holds_them(hub: Hub) -> None:
    @hub.task(limit="api", queue="here")
    async def call() -> None: ...

    jobs = [call.defer() for _ in range(8)]
    hub.run_worker(queues=["elsewhere"], wait=False)
    assert run(hub, "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 0") == 8
    hub.limit("api", per_second=20, burst=2)
    finish(hub, *jobs)

    assert excess(starts(hub, "here"), 20, 2) <= 1e-3


def test_a_key_without_a_rule_does_not_limit(hub: Hub) -> None:
    @hub.task(limit="api", tokens=7)
    async def call() -> None: ...

    jobs = [call.defer() for _ in range(5)]
    hub.run_worker(wait=False)

    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


def test_a_rate_is_changed_and_taken_away_while_jobs_wait(hub: Hub) -> None:
    @hub.task(limit="api")
    async def call() -> None: ...

    hub.limit("api", per_day=1)
    first, second, third = (call.defer() for _ in range(3))
    finish(hub, first)
    assert second.status() is Status.TODO
    hub.limit("api", per_second=50)
    finish(hub, second)
    hub.limit("api", per_day=1)
    assert hub.unlimit("api")
    finish(hub, third)

    assert run(hub, "SELECT count(*) FROM taskhub.limit_states") == 0


def test_the_list_says_how_many_tokens_are_left(hub: Hub) -> None:
    @hub.task(limit="api", tokens=4)
    async def call() -> None: ...

    hub.limit("api", per_hour=36, burst=10)
    finish(hub, call.defer())

    [limit] = hub.limits()
    assert (limit.name, limit.per_second, limit.burst) == ("api", 0.01, 10)
    assert limit.tokens == pytest.approx(6, abs=0.5)


def test_the_list_has_what_tasks_declare_for_jobs_that_are_there(hub: Hub) -> None:
    @hub.task(limit="tenant:{n}", at_most=3, queue="here")
    async def call(n: int) -> None: ...

    call.defer(1)
    hub.run_worker(queues=["elsewhere"], wait=False)
    call.defer(2)

    assert hub.limits() == [
        Limit(f"tenant:{n}", 3, 0, None, None, None, is_declared=True) for n in (1, 2)
    ]


def test_many_keys_that_wait_for_tokens_leave_a_tick_as_it_was(hub: Hub) -> None:
    def buffers() -> int:
        # The first call reads the catalog.
        with psycopg.connect(db.conninfo(hub.url)) as connection:
            for _ in range(2):
                row = connection.execute(
                    "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM taskhub.rooms_v1(NULL, 2)"
                ).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    run(hub, KEYS.format(first=1, last=2))
    few = buffers()
    run(hub, KEYS.format(first=3, last=20_000))
    run(hub, "ANALYZE taskhub.limit_states; ANALYZE taskhub.rules")

    assert buffers() <= few * 1.5 + 5


KEYS = """
WITH ruled AS (
    INSERT INTO taskhub.rules (name, rate, burst)
    SELECT 'key:' || n, 0.0001, 1 FROM generate_series({first}, {last}) AS n
    RETURNING name
)
INSERT INTO taskhub.limit_states (name, tokens, filled_at, wake_at)
SELECT name, 0, now(), now() + interval '1 hour' FROM ruled
"""


# The arithmetic


class Bucket:
    """One bucket on a clock of its own, filled by the database's arithmetic."""

    def __init__(self, connection: psycopg.Connection[Any], rate: float, burst: float) -> None:
        self.connection, self.rate, self.burst = connection, rate, burst
        self.now = self.filled_at = 0.0
        self.tokens, self.reserved = burst, 0.0
        self.ready: list[int] = []
        self.doing: list[tuple[float, int]] = []
        self.record: list[tuple[float, int]] = []

    def look(self) -> None:
        """As bucket_v1 does it."""
        ready = float(sum(self.ready))
        known = [(at, n) for at, n in self.doing if at >= self.filled_at]
        late = 0.0
        if known and sum(n for _, n in known) >= self.reserved - ready:
            late = self.now - known[-1][0]
        row = self.connection.execute(
            "SELECT taskhub.refill_v1(%s, %s, %s, %s, %s, %s, %s)",
            (
                self.tokens, self.reserved, ready, self.now - self.filled_at, late, self.rate,
                self.burst,
            ),
        ).fetchone()  # fmt: skip
        assert row is not None
        self.tokens, self.reserved, self.filled_at = float(row[0]), ready, self.now

    def promise(self, need: int) -> None:
        if self.tokens >= min(need, self.burst):
            self.tokens -= need
            self.reserved += need
            self.ready.append(need)

    def start(self) -> None:
        started = [(self.now, n) for n in self.ready]
        self.ready.clear()
        self.doing += started
        self.record += started


STEPS = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.integers(1, 60),
        st.sampled_from(["look", "promise", "promise", "start", "promise and start", "end"]),
    ),
    max_size=30,
)


def test_whatever_is_promised_when_no_window_sees_more_start(hub: Hub) -> None:
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:

        @settings(max_examples=examples(40, 150), deadline=None)
        @given(rate=st.floats(0.1, 100), burst=st.floats(1, 50), steps=STEPS)
        def holds(rate: float, burst: float, steps: list[tuple[float, int, str]]) -> None:
            bucket = Bucket(connection, rate, burst)
            for seconds, need, what in steps:
                bucket.now += seconds
                if what != "start":
                    bucket.look()
                if "promise" in what:
                    bucket.promise(need)
                if "start" in what:
                    bucket.start()
                if what == "end":
                    bucket.doing.clear()

            biggest = max((n for _, n in bucket.record), default=0)
            assert excess(bucket.record, rate, max(burst, biggest)) <= 1e-6
            # And what was taken comes back.
            bucket.start()
            bucket.look()
            bucket.now += 1000 / rate
            bucket.look()
            assert bucket.tokens == pytest.approx(burst)

        holds()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, TypeError),
        ({"burst": 5, "at_most": 1}, TypeError),
        ({"per_second": 1, "per_minute": 1}, TypeError),
        ({"per_second": 0}, ValueError),
        ({"per_second": True}, ValueError),
        ({"per_second": 1, "burst": 0.5}, ValueError),
        ({"feedback": True, "per_second": 1}, TypeError),
    ],
)
def test_a_rate_that_cannot_be_is_refused(
    hub: Hub, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"must|give one of"):
        hub.limit("api", **given)


def test_a_queue_has_no_rate(hub: Hub) -> None:
    with pytest.raises(ValueError, match="must be a key for rates"):
        hub.limit("queue:mail", per_second=5)


@pytest.mark.parametrize("tokens", [0, -1, True, 1.5, 2**31])
def test_tokens_that_can_be_none_are_refused(hub: Hub, tokens: Any) -> None:
    with pytest.raises(ValueError, match="tokens must be a whole number"):
        hub.task(limit="api", tokens=tokens)(lambda: None)


def test_a_template_that_comes_to_no_number_is_refused_when_deferred(hub: Hub) -> None:
    @hub.task(limit="api", tokens="{n}")
    async def call(n: str) -> None: ...

    with pytest.raises(ValueError, match="tokens must be a whole number"):
        call.defer("many")


def test_many_jobs_at_once_carry_their_tokens(hub: Hub) -> None:
    @hub.task(limit="api", tokens="{n}")
    async def call(n: int) -> None: ...

    call.defer_many([{"n": n % 3 + 1} for n in range(600)])

    assert run(hub, "SELECT sum(tokens) FROM taskhub.procrastinate_jobs") == 1200


# Settling


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_what_a_job_did_not_need_goes_back_and_what_it_needed_more_is_taken(
    hub: Hub, kind: str
) -> None:
    if kind == "async":

        @hub.task(limit="api", tokens=50)
        async def call(ctx: Context, actual: int) -> None:
            await ctx.settle_async("api", actual)
    else:

        @hub.task(limit="api", tokens=50)
        def call(ctx: Context, actual: int) -> None:
            ctx.settle("api", actual)

    hub.limit("api", per_day=1, burst=100)
    finish(hub, call.defer(10))
    until(lambda: left(hub) == pytest.approx(90, abs=0.1), "the return of 40")
    finish(hub, call.defer(75))
    until(lambda: left(hub) == pytest.approx(15, abs=0.1), "25 more")


def left(hub: Hub) -> float:
    [limit] = hub.limits()
    assert limit.tokens is not None
    return limit.tokens


def test_tokens_that_go_back_let_the_next_job_start_while_this_one_runs(hub: Hub) -> None:
    seen = asyncio.Event()

    @hub.task(limit="api", tokens=80)
    async def call(ctx: Context, is_first: bool) -> None:
        if is_first:
            await ctx.settle_async("api", 1)
            await asyncio.wait_for(seen.wait(), 20)
        seen.set()

    hub.limit("api", per_day=1, burst=100)
    finish(hub, call.defer(True), call.defer(False), workers=1)


def test_a_run_settles_once_and_only_its_own_limit(hub: Hub) -> None:
    @hub.task(limit="api", tokens=50)
    async def call(ctx: Context) -> str:
        with pytest.raises(ValueError, match="name must be the limit of job"):
            await ctx.settle_async("other", 10)
        with pytest.raises(ValueError, match="actual must be"):
            await ctx.settle_async("api", -1)
        await ctx.settle_async("api", 10)
        with pytest.raises(RuntimeError, match="has settled in this run already"):
            await ctx.settle_async("api", 10)
        return json.dumps("done")

    hub.limit("api", per_day=1, burst=100)
    finish(hub, call.defer())

    assert left(hub) == pytest.approx(90, abs=0.1)
