import asyncio
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped] # ships no types
import psycopg
import psycopg2  # type: ignore[import-untyped] # ships no types
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from taskhub import db, embedded
from taskhub.embedded import server
from taskhub.embedded.account import Account
from taskhub.embedded.place import Place
from taskhub.settings import Settings


@contextmanager
def a_server(home: Path) -> Iterator[str]:
    settings = Settings(home=home, embedded_idle_minutes=0)
    try:
        yield embedded.url(settings)
    finally:
        embedded.stop(settings)


async def ask_asyncpg(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


async def ask_async_engine(url: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.scalar(sqlalchemy.text("SELECT 1"))
    finally:
        await engine.dispose()


def ask_engine(url: str) -> object:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.scalar(sqlalchemy.text("SELECT 1"))
    finally:
        engine.dispose()


def check_all_drivers(url: str) -> None:
    rendered = db.conninfo(db.address(url))
    for address in (url, rendered):
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with closing(psycopg2.connect(address)) as old, old.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        assert asyncio.run(ask_asyncpg(address)) == 1
    for dialect in ("psycopg", "psycopg2"):
        assert ask_engine(url.replace("postgresql:", f"postgresql+{dialect}:")) == 1
    for dialect in ("psycopg", "asyncpg"):
        assert asyncio.run(ask_async_engine(url.replace("postgresql:", f"postgresql+{dialect}:")))


def test_every_driver_takes_the_url_of_a_path_with_odd_characters(folder: Path) -> None:
    with a_server(folder / "with space" / "名字, 100% 'ü+") as url:
        check_all_drivers(url)


def test_every_driver_takes_the_url_of_a_plain_path(running: Settings) -> None:
    url = embedded.url(running)

    check_all_drivers(url)

    assert (
        url == f"postgresql://taskhub@/taskhub?host={embedded.home(running).parent}/run&port=5432"
    )


@pytest.mark.parametrize("name", ["long" * 25, "名" * 30, "with space", "a,b"])
def test_a_path_that_no_socket_can_have_gets_a_short_plain_directory(name: str) -> None:
    odd = Place(Path("/srv") / name / "pg18", Account(1000, 1000))

    assert re.fullmatch(r"/[a-z]+/taskhub-1000-[0-9a-f]{12}", str(odd.sockets))


def test_a_url_is_percent_encoded() -> None:
    url = server.url(Path("/a b/c,d"))

    assert url == f"postgresql://taskhub@/taskhub?host={quote('/a b/c,d')}&port=5432"
