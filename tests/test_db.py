"""Addresses: what names a database, and what is said when nothing does."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection

from taskhub import Hub, db
from taskhub.settings import Settings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h/d",
        "postgres://u@h/d",
        "postgresql+asyncpg://u@h/d",
        "postgresql+psycopg2://u@h/d",
    ],
)
def test_every_way_to_write_it_ends_at_psycopg(url: str) -> None:
    assert db.address(url).drivername == "postgresql+psycopg"


def test_no_database_names_both_ways_out() -> None:
    with pytest.raises(db.NoDatabase, match=r"TASKHUB_DATABASE_URL=postgresql://.*=embedded"):
        _ = Hub(settings=Settings()).url


@pytest.mark.parametrize(
    ("url", "message"), [("mysql://h/d", "must be PostgreSQL"), ("nonsense", "must look like")]
)
def test_another_kind_of_address_is_refused(url: str, message: str) -> None:
    with pytest.raises(db.BadAddress, match=message):
        db.address(url)


def test_a_hub_without_database_can_declare_tasks() -> None:
    hub = Hub(settings=Settings())

    @hub.task(queue="mail")
    def send(n: int) -> int:
        return n + 1

    assert send(1) == 2
    assert send.queue == "mail"


def driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


def test_a_connection_in_use_when_its_hub_is_closed_is_closed_when_it_comes_back(hub: Hub) -> None:
    with hub.engine.connect() as connection:
        driver = driver_of(connection)
        hub.close()
        assert not driver.closed
    assert driver.closed

    with hub.engine.connect() as connection:
        driver = driver_of(connection)
    assert not driver.closed  # the hub was opened anew


def test_so_is_an_asynchronous_one(hub: Hub) -> None:
    async def use() -> Any:
        async with hub.async_engine.connect() as connection:
            driver = await connection.run_sync(driver_of)
            await hub.close_async()
            assert not driver.closed
        return driver

    assert asyncio.run(use()).closed


def test_an_address_for_a_command_line_has_everything_but_the_password() -> None:
    url = db.address("postgresql://me:hush@host:7/shop?application_name=x")

    shown = db.conninfo(db.without_password(url))

    assert shown == "postgresql://me@host:7/shop?application_name=x"
