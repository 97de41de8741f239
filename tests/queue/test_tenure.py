"""What a worker does while a tick is on its way, and what becomes of it when it must stop."""

import asyncio
import gc

from taskhub import Hub
from taskhub.queue import JobEvent
from taskhub.queue.worker import Worker


def test_a_stop_right_after_a_claim_gives_back_what_was_not_begun(hub: Hub) -> None:
    ran = []

    @hub.task
    async def task(n: int) -> None:
        ran.append(n)

    jobs = task.defer_many([{"n": n} for n in range(300)])
    worker = Worker(hub, concurrency=100, wait=False)
    hub.on("job.started", lambda _: worker.stop(0.0))

    asyncio.run(worker.run())

    states = [job.status().value for job in jobs]
    assert 0 < len(ran) < 300
    assert states.count("succeeded") == len(ran)
    assert states.count("todo") == 300 - len(ran)
    assert {
        run.attempt for job in jobs for run in job.attempts() if run.outcome == "succeeded"
    } == {1}


def test_asynchronous_hooks_of_the_last_jobs_end_before_the_worker(hub: Hub) -> None:
    heard: list[int] = []

    async def hear(event: JobEvent) -> None:
        await asyncio.sleep(0)
        heard.append(event.job_id)

    @hub.task
    async def task() -> None: ...

    hub.on("job.succeeded", hear)
    jobs = [task.defer(), task.defer()]

    hub.run_worker(wait=False)

    assert sorted(heard) == [job.id for job in jobs]


def test_what_a_failed_task_had_in_hand_is_let_go_without_the_collector(hub: Hub) -> None:
    class Big:
        pass

    made = []

    @hub.task
    async def task() -> None:
        big = Big()
        made.append(id(big))
        raise ValueError(id(big))

    task.defer()
    gc.collect()
    before = gc.isenabled()
    gc.disable()
    try:
        asyncio.run(Worker(hub, wait=False).run())
        left = [one for one in gc.get_objects() if type(one) is Big]
    finally:
        if before:
            gc.enable()

    assert made
    assert left == []


def test_the_collector_is_as_it_was_after_a_worker(hub: Hub) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    seen = []

    @hub.task
    async def task() -> None:
        seen.append(gc.get_threshold()[0])

    task.defer()
    hub.run_worker(wait=False)

    assert seen == [10_000]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
