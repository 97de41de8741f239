"""What a worker looks after beside its jobs."""

import asyncio

import psycopg

from taskhub import Hub, db
from taskhub.queue import lease
from taskhub.queue.acks import Ack
from taskhub.queue.tick import Ticker
from taskhub.queue.upkeep import Upkeep


def look(hub: Hub, *, is_ended_here: bool) -> list[Ack]:
    """Claim the hub's one job on a connection that says nothing of it, then look around."""

    async def work() -> list[Ack]:
        conninfo = db.conninfo(hub.url)
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            registration = await lease.register(
                connection,
                "taskhub",
                name="n",
                queues=None,
                tasks=[],
                concurrency=1,
                lease_seconds=10,
            )
            ticker = Ticker("taskhub", registration.worker_id, None)
            [job] = (await ticker.tick(connection, [], 1)).claimed
            upkeep = Upkeep(hub, registration.worker_id)
            found = await upkeep.look(connection, {}, lambda: {job.id} if is_ended_here else set())
            await upkeep.end()
            return found

    return asyncio.run(work())


def test_a_job_that_was_claimed_and_never_came_here_is_given_back(hub: Hub) -> None:
    @hub.task(name="add")
    def add() -> None: ...

    job = add.defer()

    [ack] = look(hub, is_ended_here=False)

    assert ack.job.id == job.id


def test_a_job_whose_outcome_waits_to_be_stored_is_not_given_back(hub: Hub) -> None:
    @hub.task(name="add")
    def add() -> None: ...

    add.defer()

    assert look(hub, is_ended_here=True) == []
