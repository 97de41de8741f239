"""Open pages hear of changes soon, and cost the database next to nothing."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import psycopg
import pytest

from taskhub import Hub, db
from taskhub.dashboard import serve
from taskhub.settings import Settings
from tests.waiting import until

OPEN_PAGES = 50
PARTS_AT_ONCE = 20
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'taskhub dashboard' AND datname = current_database()
"""
PARTS = (
    "",
    "jobs",
    "failures",
    "queues",
    "tasks",
    "workers",
    "schedules",
    "limits",
    "audit",
    "alerts",
)


@pytest.fixture
def address(hub: Hub, database: str) -> Iterator[str]:
    """A real server."""
    told: list[str] = []
    settings = Settings(database_url=database, dashboard_port=0)
    with serve.beside(hub, settings, told.append):
        yield told[0].removeprefix("dashboard: ")


async def heard(lines: AsyncIterator[str], event: str) -> float:
    """When the stream says this event."""
    async with asyncio.timeout(20):
        async for line in lines:
            if line == f"event: {event}":
                return time.monotonic()
    raise AssertionError(f"the stream ended before {event}")


def connections(database: str) -> int:
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        row = connection.execute(CONNECTIONS).fetchone()
    assert row is not None
    return int(row[0])


def test_fifty_open_pages_hear_of_a_change_within_a_second_over_one_connection(
    hub: Hub, address: str, database: str
) -> None:
    @hub.task
    def wait() -> None: ...

    async def scene() -> tuple[list[float], list[int]]:
        limits = httpx.Limits(max_connections=None)
        counted = []
        async with (
            httpx.AsyncClient(limits=limits, timeout=30) as client,
            AsyncExitStack() as stack,
        ):
            streams = []
            for _ in range(OPEN_PAGES):
                stream = client.stream("GET", f"{address}events")
                answer = await stack.enter_async_context(stream)
                streams.append(answer.aiter_lines())
            await asyncio.gather(*(heard(lines, "hello") for lines in streams))
            counted.append(await asyncio.to_thread(connections, database))
            changed = [asyncio.create_task(heard(lines, "changed")) for lines in streams]
            await asyncio.to_thread(wait.defer)
            began = time.monotonic()
            times = await asyncio.gather(*changed)
            # All of them draw their live part anew, as the page's script does.
            part = {"hx-request": "true"}
            drawn = await asyncio.gather(
                *(client.get(address, headers=part) for _ in range(OPEN_PAGES))
            )
            counted.append(await asyncio.to_thread(connections, database))
            assert {answer.status_code for answer in drawn} == {200}
            return [at - began for at in times], counted

    seconds, counted = asyncio.run(scene())

    assert max(seconds) < 1.0
    assert max(counted) <= 2
    assert min(counted) >= 1


def test_twenty_parts_at_once_and_the_pulse_take_turns_on_one_connection(
    hub: Hub, address: str, database: str
) -> None:
    counted, over = [], threading.Event()

    def count() -> None:
        with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
            while not over.is_set():
                row = connection.execute(CONNECTIONS).fetchone()
                assert row is not None
                counted.append(int(row[0]))

    async def scene() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(limits=limits, timeout=30) as client,
            client.stream("GET", f"{address}events") as answer,
        ):
            await heard(answer.aiter_lines(), "hello")
            counting = asyncio.create_task(asyncio.to_thread(count))
            try:
                # Each asks for something else, so that none is given what another one drew.
                drawn = await asyncio.gather(
                    *(
                        client.get(
                            f"{address}{PARTS[n % len(PARTS)]}?n={n}",
                            headers={"hx-request": "true"},
                        )
                        for n in range(PARTS_AT_ONCE)
                    )
                )
            finally:
                over.set()
                await counting
        return [part.status_code for part in drawn]

    statuses = asyncio.run(scene())

    assert statuses == [200] * PARTS_AT_ONCE
    assert len(counted) > PARTS_AT_ONCE
    assert max(counted) == 1


def test_nothing_is_asked_while_no_page_is_open(hub: Hub, address: str, database: str) -> None:
    async def look_and_leave() -> None:
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{address}events") as answer,
        ):
            await heard(answer.aiter_lines(), "hello")

    asyncio.run(look_and_leave())

    with psycopg.connect(db.conninfo(db.address(database)), autocommit=True) as connection:
        query = (
            "SELECT state_change FROM pg_stat_activity WHERE application_name = 'taskhub dashboard'"
            " AND query LIKE '%pg_current_snapshot%' AND now() - state_change > interval '1 second'"
        )
        until(lambda: connection.execute(query).fetchone(), "an end of the looking")


def test_open_pages_are_told_that_the_database_is_away_and_that_it_is_back(
    hub: Hub, address: str, database: str
) -> None:
    name = database.rsplit("/", 1)[-1].partition("?")[0]
    other = re.sub(r"/[^/?]+(\?|$)", r"/postgres\1", database)

    async def scene() -> None:
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", f"{address}events") as answer,
        ):
            lines = answer.aiter_lines()
            await heard(lines, "hello")
            with psycopg.connect(db.conninfo(db.address(other)), autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (name,),
                )
                await heard(lines, "away")
                page = await client.get(address)
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert page.status_code == 503
            assert "The database is away" in page.text
            await heard(lines, "changed")
            assert (await client.get(address)).status_code == 200

    asyncio.run(scene())
