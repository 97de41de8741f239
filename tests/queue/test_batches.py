"""Batch tasks: many jobs in one call, each with an outcome of its own."""

import asyncio
import dataclasses
import logging
import threading
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pytest
from sqlalchemy import text
from tests.waiting import until

from taskhub import Backoff, Hub, Item, Job, Status
from taskhub.queue import BadArgument, JobEvent, JobFailed
from taskhub.queue.worker import Worker


@dataclass(frozen=True)
class Segment:
    document_id: int
    words: str = "none"

    def __post_init__(self) -> None:
        if self.document_id < 0:
            raise ValueError("document_id must be 0 or more")


class Loose(TypedDict):
    n: int
    note: NotRequired[str]


def work(hub: Hub, concurrency: int | None = None) -> None:
    hub.run_worker(wait=False, concurrency=concurrency)


def outcomes(job: Job[Any]) -> list[str]:
    return [attempt.outcome for attempt in job.attempts()]


@pytest.mark.parametrize("concurrency", [1, 20])
def test_a_batch_is_filled_whatever_the_concurrency(hub: Hub, concurrency: int) -> None:
    sizes: list[int] = []

    @hub.task(batch=64)
    async def embed(items: list[Item]) -> None:
        sizes.append(len(items))

    jobs = embed.defer_many([{"n": n} for n in range(640)])
    work(hub, concurrency)

    assert sizes == [64] * 10
    assert {job.status() for job in (jobs[0], jobs[-1])} == {Status.SUCCEEDED}


def test_at_most_concurrency_calls_run_at_once_and_other_tasks_get_their_slots(hub: Hub) -> None:
    calls: list[int] = []
    most: list[int] = []

    @hub.task(batch=5)
    async def embed(items: list[Item]) -> None:
        calls.append(1)
        most.append(len(calls))
        await asyncio.sleep(0.005)
        calls.pop()

    @hub.task
    async def plain(n: int) -> None:
        calls.append(1)
        most.append(len(calls))
        await asyncio.sleep(0.005)
        calls.pop()

    for n in range(60):
        embed.defer(n=n)
        plain.defer(n)
    work(hub, concurrency=3)

    assert max(most) == 3
    assert len(most) < 90


def test_arguments_are_an_instance_of_what_the_items_are_annotated_with(hub: Hub) -> None:
    seen: list[Any] = []

    @hub.task(batch=10)
    def embed(items: list[Item[Segment]]) -> None:
        seen.extend(item.args for item in items)

    @hub.task(batch=10)
    def loose(items: list[Item[Loose]]) -> None:
        seen.extend(item.args for item in items)

    embed.defer(3, words="seven")
    embed.defer(document_id="4")
    loose.defer(n=5)
    work(hub)

    assert seen == [Segment(3, "seven"), Segment(4), {"n": 5}]


def test_defer_takes_what_of_takes(hub: Hub) -> None:
    def segment(document_id: int, words: str) -> Segment:
        return Segment(document_id, words.upper())

    seen: list[Segment] = []

    @hub.task(batch=10, of=segment, lock="{words}")
    def embed(items: list[Item[Segment]]) -> None:
        seen.extend(item.args for item in items)

    embed.defer(1, words="a")
    with pytest.raises(TypeError, match="words"):
        embed.defer(document_id=1)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError, match="document_id must be int, got 'x'"):
        embed.defer("x", "a")  # type: ignore[arg-type]  # what is tested
    work(hub)

    assert seen == [Segment(1, "A")]


def test_each_item_has_the_outcome_that_was_said_of_it(hub: Hub) -> None:
    seen: list[tuple[int, int]] = []

    @hub.task(batch=10, retry=Backoff(max_attempts=2, first_seconds=0.01))
    def embed(items: list[Item]) -> None:
        for item in items:
            seen.append((item.args["n"], item.attempt))
            match item.args["n"]:
                case 1:
                    item.succeed({"words": 7})
                case 2:
                    item.fail("no such document")
                case 3:
                    item.fail(OSError("away"))
                case 4 if item.attempt == 1:
                    item.retry(in_seconds=0)
                case 5 if seen.count((5, 1)) == 1:
                    item.snooze(0.01)

    jobs = [embed.defer(n=n) for n in range(6)]
    while Status.TODO in {job.status() for job in jobs}:
        work(hub)

    assert [outcomes(job) for job in jobs] == [
        ["succeeded"],
        ["succeeded"],
        ["failed"],
        ["retried", "failed"],
        ["retried", "succeeded"],
        ["snoozed", "succeeded"],
    ]
    assert jobs[1].result(timeout=0) == {"words": 7}
    with pytest.raises(JobFailed, match="no such document"):
        jobs[2].result(timeout=0)


@pytest.mark.parametrize("is_async", [True, False])
def test_what_the_function_raises_is_the_outcome_of_those_without_one(
    hub: Hub, is_async: bool
) -> None:
    def handle(items: list[Item]) -> None:
        items[0].succeed("done")
        raise OSError("the model is away")

    if is_async:

        @hub.task(name="embed", batch=3, retry=1)
        async def embed(items: list[Item]) -> None:
            handle(items)
    else:
        hub.task(name="embed", batch=3, retry=1)(handle)
    jobs = [hub.tasks["embed"].defer(n=n) for n in range(3)]
    while Status.TODO in {job.status() for job in jobs}:
        work(hub)

    # The second call has two items, of which the first is spoken of.
    assert [outcomes(job) for job in jobs] == [
        ["succeeded"],
        ["retried", "succeeded"],
        ["retried", "failed"],
    ]
    assert "the model is away" in (jobs[2].attempts()[0].error_message or "")


def test_arguments_that_do_not_fit_fail_their_item_and_no_other(hub: Hub) -> None:
    @hub.task(batch=10, retry=Backoff(max_attempts=3))
    def embed(items: list[Item[Segment]]) -> None:
        assert len(items) == 1

    bad, worse, good = embed.defer(1), embed.defer(-1), embed.defer(2)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET args = '{\"x\": 1}' WHERE id = :id"),
            {"id": bad.id},
        )
    work(hub)

    assert [job.status() for job in (bad, worse, good)] == [
        Status.FAILED,
        Status.FAILED,
        Status.SUCCEEDED,
    ]
    assert "document_id must be 0 or more" in (worse.attempts()[0].error_message or "")


def test_only_jobs_with_one_key_share_a_call(hub: Hub) -> None:
    calls: list[set[int]] = []
    sizes: list[int] = []

    @hub.task(batch=10, batch_by="{tenant_id}", linger=1.0)
    async def embed(items: list[Item]) -> None:
        calls.append({item.args["tenant_id"] for item in items})
        sizes.append(len(items))

    embed.defer_many([{"tenant_id": n % 3} for n in range(60)])
    work(hub)

    assert calls
    assert all(len(tenants) == 1 for tenants in calls)
    assert sizes == [10] * 6


def test_a_call_lingers_for_more_while_slots_are_free(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(batch=10, linger=20.0)
    async def patient(items: list[Item]) -> None:
        sizes.append(len(items))

    @hub.task
    async def defers(n: int) -> None:
        await patient.defer_async(n=n)
        if n < 9:
            await defers.defer_async(n + 1)

    defers.defer(0)
    work(hub)  # ends long before 20 s, since the tenth job fills the batch

    assert sizes == [10]


def test_a_call_that_lingers_starts_when_its_time_is_up_or_the_worker_stops(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(batch=10, linger=0.05)
    async def short(items: list[Item]) -> None:
        sizes.append(len(items))

    @hub.task(batch=10, linger=50.0)
    async def long(items: list[Item]) -> None:
        sizes.append(len(items))

    short.defer(n=1)
    work(hub)
    assert sizes == [1]

    job = long.defer(n=1)

    async def run() -> None:
        worker = Worker(hub)
        running = asyncio.create_task(worker.run())
        await asyncio.to_thread(until, lambda: job.status() is Status.DOING, "the claim")
        worker.stop()
        await running

    asyncio.run(run())
    assert sizes == [1, 1]
    assert job.status() is Status.SUCCEEDED


def test_limits_and_locks_hold_in_a_batch(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(batch=64, limit="model", at_most=10)
    async def limited(items: list[Item]) -> None:
        sizes.append(len(items))

    @hub.task(batch=64, lock="{key}")
    async def locked(items: list[Item]) -> None:
        keys = [item.args["key"] for item in items]
        assert len(keys) == len(set(keys))

    limited.defer_many([{"n": n} for n in range(30)])
    jobs = locked.defer_many([{"key": n % 4} for n in range(12)])
    work(hub, concurrency=20)

    assert sum(sizes) == 30
    assert max(sizes) <= 10
    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


def test_a_limit_of_the_task_counts_jobs(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(name="embed", batch=64)
    async def embed(items: list[Item]) -> None:
        sizes.append(len(items))

    hub.limit("task:embed", at_most=3)
    embed.defer_many([{"n": n} for n in range(9)])
    work(hub)

    assert max(sizes) == 3
    assert sum(sizes) == 9


def test_a_job_that_workers_were_lost_with_is_called_alone(hub: Hub) -> None:
    calls: list[list[int]] = []

    @hub.task(batch=10)
    async def embed(items: list[Item]) -> None:
        calls.append([item.args["n"] for item in items])

    jobs = embed.defer_many([{"n": n} for n in range(6)])
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET lost = 2 WHERE id = ANY(:ids)"),
            {"ids": [jobs[1].id, jobs[4].id]},
        )
    work(hub)

    assert [1] in calls
    assert [4] in calls
    assert sorted(n for call in calls for n in call) == list(range(6))


def test_a_batch_that_kills_its_worker_falls_apart_into_single_jobs(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(batch=10)
    async def embed(items: list[Item]) -> None:
        sizes.append(len(items))

    jobs = embed.defer_many([{"n": n} for n in range(3)])
    with hub.engine.begin() as connection:
        # As two workers leave them that died with this batch.
        connection.execute(text("UPDATE taskhub.procrastinate_jobs SET lost = 2"))
    work(hub)

    assert sizes == [1, 1, 1]
    assert {job.status() for job in jobs} == {Status.SUCCEEDED}


@pytest.mark.parametrize("is_async", [True, False])
def test_a_late_call_is_the_timeout_of_those_without_an_outcome(hub: Hub, is_async: bool) -> None:
    hub.__dict__["settings"] = dataclasses.replace(hub.settings, timeout_grace_seconds=0.5)
    if is_async:

        @hub.task(name="embed", batch=2, timeout=0.1)
        async def embed(items: list[Item]) -> None:
            items[0].succeed(1)
            await asyncio.sleep(60)
    else:

        @hub.task(name="embed", batch=2, timeout=0.1)
        def embed_in_thread(items: list[Item]) -> None:
            items[0].succeed(1)
            until(lambda: items[1].cancelled, "the timeout")

    first, second = hub.tasks["embed"].defer(n=1), hub.tasks["embed"].defer(n=2)
    work(hub)

    assert first.result(timeout=0) == 1
    assert second.attempts()[0].error_message == "timed out after 0.1 s"


def test_cancel_reaches_one_item_of_a_running_call(hub: Hub) -> None:
    seen: list[tuple[int, bool]] = []

    @hub.task(batch=2)
    def embed(items: list[Item]) -> None:
        jobs[0].cancel(reason="enough")
        until(lambda: items[0].cancelled, "the cancel")
        seen.extend((item.args["n"], item.cancelled) for item in items)
        items[0].fail("stopped")

    jobs = embed.defer_many([{"n": 0}, {"n": 1}])
    work(hub)

    assert seen == [(0, True), (1, False)]
    assert [job.status() for job in jobs] == [Status.ABORTED, Status.SUCCEEDED]


def test_a_coroutine_is_cancelled_when_all_of_its_jobs_are(hub: Hub) -> None:
    @hub.task(batch=2)
    async def embed(items: list[Item]) -> None:
        for job in jobs:
            await asyncio.to_thread(job.cancel)
        await asyncio.Event().wait()

    jobs = embed.defer_many([{"n": 0}, {"n": 1}])
    work(hub)

    assert [job.status() for job in jobs] == [Status.ABORTED, Status.ABORTED]


def test_a_job_cancelled_while_its_call_gathers_is_not_called(hub: Hub) -> None:
    called: list[int] = []

    @hub.task(batch=10, linger=2.0)
    async def embed(items: list[Item]) -> None:
        called.extend(item.args["n"] for item in items)

    @hub.task
    async def cancels() -> None:
        await asyncio.to_thread(until, lambda: jobs[0].status() is Status.DOING, "the claim")
        await asyncio.to_thread(jobs[0].cancel)

    jobs = embed.defer_many([{"n": 0}, {"n": 1}])
    cancels.defer()
    work(hub)

    assert called == [1]
    assert [job.status() for job in jobs] == [Status.ABORTED, Status.SUCCEEDED]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_worker_that_stops_gives_back_what_was_not_spoken_of(hub: Hub, is_async: bool) -> None:
    stopped = threading.Event()

    if is_async:

        @hub.task(name="embed", batch=3)
        async def embed(items: list[Item]) -> None:
            items[0].succeed("kept")
            worker.stop(0.0)
            await asyncio.Event().wait()
    else:

        @hub.task(name="embed", batch=3)
        def embed_in_thread(items: list[Item]) -> None:
            items[0].succeed("kept")
            loop.call_soon_threadsafe(worker.stop, 0.0)
            stopped.wait(20)

    jobs = hub.tasks["embed"].defer_many([{"n": n} for n in range(3)])
    worker = Worker(hub)
    loop: asyncio.AbstractEventLoop

    async def run() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        await worker.run()

    asyncio.run(run())
    stopped.set()

    assert worker.abandoned == (0 if is_async else 1)
    assert jobs[0].result(timeout=0) == "kept"
    assert [job.status() for job in jobs[1:]] == [Status.TODO, Status.TODO]
    assert [outcomes(job) for job in jobs[1:]] == [["interrupted"]] * 2


def test_what_an_item_logs_is_its_own_and_the_rest_is_everybodys(hub: Hub) -> None:
    @hub.task(batch=2)
    def embed(items: list[Item]) -> None:
        logging.getLogger("app").warning("loading the model")
        for item in items:
            item.log.warning("item %s", item.args["n"])

    jobs = embed.defer_many([{"n": 0}, {"n": 1}])
    work(hub)

    first, second = (job.attempts()[0].log or "" for job in jobs)
    assert "item 0" in first
    assert "item 1" not in first
    assert "item 1" in second
    assert "loading the model" in first
    assert "loading the model" in second


def test_hooks_hear_of_every_item(hub: Hub) -> None:
    heard: list[tuple[str, int]] = []

    def hear(event: JobEvent) -> None:
        heard.append((event.name, event.job_id))

    @hub.task(batch=2)
    async def embed(items: list[Item]) -> None:
        items[1].fail("no")

    hub.on("job.started", hear)
    hub.on("job.succeeded", hear)
    hub.on("job.failed", hear)
    first, second = embed.defer(n=0), embed.defer(n=1)
    work(hub)

    assert heard == [
        ("job.started", first.id),
        ("job.started", second.id),
        ("job.succeeded", first.id),
        ("job.failed", second.id),
    ]


def test_a_transaction_in_a_batch_checks_the_claims_of_all(hub: Hub) -> None:
    @hub.task(batch=2)
    def embed(items: list[Item]) -> None:
        with hub.transaction() as session:
            session.execute(text("UPDATE taskhub.hub SET lowest_worker_version = 1"))
        with hub.engine.begin() as other:
            other.execute(
                text("UPDATE taskhub.procrastinate_jobs SET claim = claim + 1 WHERE id = :id"),
                {"id": items[1].job_id},
            )
        with hub.transaction() as session:
            session.execute(text("UPDATE taskhub.hub SET lowest_worker_version = 9"))

    jobs = embed.defer_many([{"n": 0}, {"n": 1}])
    work(hub)

    with hub.engine.connect() as connection:
        assert connection.scalar(text("SELECT lowest_worker_version FROM taskhub.hub")) == 1
    assert "1 of 2 jobs of this call" in (jobs[0].attempts()[0].error_message or "")


def test_an_outcome_cannot_be_said_when_the_call_is_over(hub: Hub) -> None:
    kept: list[Item] = []

    @hub.task(batch=2)
    async def embed(items: list[Item]) -> None:
        kept.extend(items)

    embed.defer(n=0)
    work(hub)

    with pytest.raises(RuntimeError, match="is over; its outcome cannot be changed"):
        kept[0].fail("too late")


def test_calling_a_batch_task_runs_it_for_one_item(hub: Hub) -> None:
    @hub.task(batch=2, of=Segment)
    def embed(items: list[Item[Segment]]) -> None:
        [item] = items
        if not item.args.document_id:
            item.fail("no document")
        else:
            item.succeed(item.args.words)

    assert embed(1, words="x") == "x"
    with pytest.raises(Exception, match="no document"):
        embed(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be a number from 1 to 1000, got 0"),
        ({"batch": 1001}, "batch must be a number from 1 to 1000, got 1001"),
        ({"batch": 2, "linger": -1}, "linger must be from 0 to 60 seconds, got -1"),
        ({"linger": 1}, "linger must go with batch=, got 1"),
        ({"batch_by": "{n}"}, "batch_by must go with batch=, got '{n}'"),
        ({"batch": 2, "transactional": True}, "a batch task must not be transactional"),
        ({"batch": 2, "executor": "process"}, "must run on the loop or in a thread"),
        ({"batch": 2, "of": Segment, "batch_by": "{tenant}"}, "batch_by names 'tenant'"),
        ({"batch": 2, "of": Segment, "lock": "{tenant}"}, "lock names 'tenant'"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_declared(
    hub: Hub, options: dict[str, Any], message: str
) -> None:
    def embed(items: list[Item]) -> None: ...

    with pytest.raises((ValueError, TypeError)) as raised:
        hub.task(**options)(embed)

    assert message in str(raised.value)


def test_a_function_that_takes_no_list_of_items_is_refused(hub: Hub) -> None:
    def single(item: Item) -> None: ...

    def two(items: list[Item], n: int) -> None: ...

    def numbers(items: list[int]) -> None: ...

    functions: list[Any] = [single, two, numbers]
    for function in functions:
        with pytest.raises(TypeError, match="a batch task must take"):
            hub.task(batch=2)(function)


def test_a_template_over_arguments_that_are_not_given_is_refused_when_deferred(hub: Hub) -> None:
    @hub.task(batch=2, lock="{tenant}")
    def embed(items: list[Item]) -> None: ...

    with pytest.raises(TypeError, match=r"arguments must have 'tenant', which '\{tenant\}' names"):
        embed.defer(n=1)
    with pytest.raises(BadArgument):
        embed.defer(tenant=float("nan"))


def test_topping_up_costs_the_same_whatever_else_waits(hub: Hub) -> None:
    @hub.task(name="embed", batch=64)
    def embed(items: list[Item]) -> None: ...

    @hub.task(name="plain")
    def plain(n: int) -> None: ...

    asked = text(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM "
        "taskhub.claim_more_v1(1, 'default', 0, 'embed', 0, 63)"
    )

    def buffers() -> int:
        with hub.engine.connect() as connection:
            for _ in range(2):  # the first call of a session also reads the catalog
                [[plan]] = connection.scalars(asked)
                connection.rollback()
                connection.execute(text("SELECT 1"))
        counted = plan["Plan"]
        assert counted["Actual Rows"] == 63
        return int(counted["Shared Hit Blocks"] + counted["Shared Read Blocks"])

    plain.defer_many([{"n": n} for n in range(300)])
    embed.defer_many([{"n": n} for n in range(100)])
    alone = buffers()
    plain.defer_many([{"n": n} for n in range(30_000)])
    plain.options(queue="other").defer_many([{"n": n} for n in range(10_000)])

    assert buffers() < 1.5 * alone


def test_a_batch_task_may_be_declared_while_the_worker_runs_and_be_periodic(hub: Hub) -> None:
    sizes: list[int] = []

    def embed(items: list[Item]) -> None:
        sizes.append(len(items))

    @hub.task
    async def declares() -> None:
        late: Any = hub.cron("0 0 1 1 *", name="late", batch=4, arguments={"n": 1})(embed)
        await late.defer_async(n=2)

    declares.defer()
    work(hub)

    assert sizes == [1]


def test_jobs_of_other_versions_and_expired_ones_are_dealt_with_as_others_are(hub: Hub) -> None:
    seen: list[dict[str, Any]] = []

    @hub.task(batch=64, version=2)  # type: ignore[call-overload, misc, untyped-decorator, unused-ignore]
    async def embed(items: list[Item]) -> None:
        seen.extend(item.args for item in items)

    @embed.upcast(1)  # type: ignore[misc, untyped-decorator, unused-ignore]
    def renamed(given: dict[str, Any]) -> dict[str, Any]:
        return {"n": given["number"]}

    old, new, late, newer = embed.defer_many([
        {"number": 0}, {"n": 1}, {"n": 2}, {"n": 3},
    ])  # fmt: skip
    with hub.engine.begin() as connection:
        for change, job in (
            ("version = NULL", old),
            ("expires_at = now() - interval '1 hour'", late),
            ("version = 3", newer),
        ):
            connection.execute(
                text(f"UPDATE taskhub.procrastinate_jobs SET {change} WHERE id = :id"),
                {"id": job.id},
            )
    work(hub)

    assert seen == [{"n": 0}, {"n": 1}]
    assert [job.status() for job in (old, new)] == [Status.SUCCEEDED] * 2
    assert late.status() is Status.CANCELLED
    assert newer.status() is Status.TODO


def test_a_tick_that_found_one_batch_task_brings_whole_calls_more(hub: Hub) -> None:
    sizes: list[int] = []

    @hub.task(batch=10)
    async def embed(items: list[Item]) -> None:
        sizes.append(len(items))

    embed.defer_many([{"n": n} for n in range(1_000)])
    work(hub, 60)

    assert sizes == [10] * 100
