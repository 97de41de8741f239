"""What a worker looks after beside its jobs."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg

from taskhub import Hub, db
from taskhub.queue import lease, sql
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


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_the_rescue_walks_in_order_over_what_ran_since_the_last_vacuum(hub: Hub) -> None:
    # A scan in order takes dead entries out of the index as it goes; a bitmap meets them each time.
    @hub.task(name="add")
    async def add() -> None: ...

    add.defer_many([{}] * 3_000)
    hub.run_worker(concurrency=200, wait=False)
    query = f"EXPLAIN (FORMAT JSON) {sql.load('rescue_jobs', 'taskhub')}".encode()

    with psycopg.connect(db.conninfo(hub.url)) as connection:
        told = connection.execute(
            query, {"lease_seconds": 0.0, "worker_ids": None, "what": "x"}
        ).fetchone()

    assert told is not None
    seen = [node for node in nodes(told[0][0]["Plan"]) if "jobs" in node.get("Index Name", "")]
    running = [node for node in seen if node["Index Name"] == "jobs_running"]
    assert len(running) >= 3
    assert {node["Node Type"] for node in running} <= {"Index Only Scan", "Index Scan"}
    assert all("Index Cond" in node for node in seen)
    assert "Seq Scan" not in {
        node["Node Type"]
        for node in nodes(told[0][0]["Plan"])
        if node.get("Relation Name") == "procrastinate_jobs"
    }
