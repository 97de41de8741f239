"""The database of a procrastinate App, read from its connector."""

from typing import Any

import pytest
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.contrib.psycopg2 import Psycopg2Connector
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from procrastinate.testing import InMemoryConnector

from taskhub import Hub, db
from taskhub.db import NoDatabase
from taskhub.queue.foreign_database import Place, place_of
from taskhub.settings import Settings

SHOP = "postgresql://ann:secret@db.example:6432/shop"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "connector",
    [
        PsycopgConnector(conninfo=SHOP),
        PsycopgConnector(conninfo="host=db.example port=6432 user=ann password=secret dbname=shop"),
        SyncPsycopgConnector(
            conninfo="host=db.example",
            kwargs={"port": 6432, "user": "ann", "password": "secret", "dbname": "shop"},
        ),
        PsycopgConnector(
            min_size=1, conninfo=SHOP, kwargs={"autocommit": True, "prepare_threshold": None}
        ),
        Psycopg2Connector(dsn=SHOP, maxconn=3),
        Psycopg2Connector(
            host="db.example",
            port=6432,
            user="ann",
            password="secret",  # noqa: S106 - nobody's
            database="shop",
        ),
        SQLAlchemyPsycopg2Connector(dsn=SHOP.replace("postgresql", "postgresql+psycopg2")),
    ],
    ids=lambda c: type(c).__name__,
)
def test_the_address_is_put_together_from_all_that_is_given(connector: Any) -> None:
    assert place_of(connector) == Place(SHOP, None)


@pytest.mark.parametrize(
    ("options", "schema", "rest"),
    [
        ("-c search_path=jobs", "jobs", None),
        ("-csearch_path=jobs,public", "jobs", None),
        ("--search_path=jobs", "jobs", None),
        ("--search-path=jobs", "jobs", None),
        ('-c search_path="$user",jobs', "jobs", None),
        (r"-c search_path=jobs,\ public -c lock_timeout=5s", "jobs", "-c lock_timeout=5s"),
        ("-c lock_timeout=5s", None, "-c lock_timeout=5s"),
        ("", None, None),
    ],
)
def test_the_schema_is_the_first_of_the_search_path(
    options: str, schema: str | None, rest: str | None
) -> None:
    place = place_of(PsycopgConnector(conninfo=SHOP, kwargs={"options": options}))

    assert place is not None
    assert place.schema == schema
    # Our SQL names its schema, and a pooler may refuse options.
    assert db.address(place.url).query.get("options") == rest


def test_a_socket_a_list_of_hosts_and_ssl_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    conninfo = "host=/var/run/pg port=5433 dbname=shop user=ann sslmode=disable"
    socket = place_of(PsycopgConnector(conninfo=conninfo))
    hosts = place_of(PsycopgConnector(conninfo="host=a,b port=1,2 dbname=shop user=ann"))

    assert socket is not None
    assert hosts is not None
    query = db.address(socket.url).query
    assert (query["host"], query["port"], query["sslmode"]) == ("/var/run/pg", "5433", "disable")
    query = db.address(hosts.url).query
    assert (query["host"], query["port"]) == ("a,b", "1,2")


def test_what_is_not_given_comes_from_libpqs_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGUSER", "ann")
    monkeypatch.setenv("PGDATABASE", "shop")

    place = place_of(PsycopgConnector())

    assert place is not None
    address = db.address(place.url)
    assert (address.host, address.username, address.database) == ("db.example", "ann", "shop")


def test_a_pool_of_the_users_own_says_it_too(database: str) -> None:
    from psycopg_pool import ConnectionPool

    conninfo = db.conninfo(db.address(database))
    connector = SyncPsycopgConnector()
    with ConnectionPool(conninfo, open=True, min_size=1) as pool:
        connector.open(pool)

        place = place_of(connector)

    assert place is not None
    assert db.address(place.url).database == db.address(database).database


@pytest.mark.parametrize(
    "connector",
    [
        InMemoryConnector(),
        PsycopgConnector(conninfo=lambda: SHOP),
        PsycopgConnector(conninfo=SHOP, kwargs=lambda: {"password": "new"}),
        PsycopgConnector(conninfo="no conninfo"),
    ],
    ids=["in memory", "a function", "parameters from a function", "nonsense"],
)
def test_a_connector_that_does_not_say_needs_a_url(connector: Any) -> None:
    app = App(connector=connector)

    assert place_of(connector) is None
    with pytest.raises(NoDatabase, match=r"pass one: Hub\.from_procrastinate\(app, database_url="):
        _ = Hub.from_procrastinate(app, settings=Settings()).url
    assert Hub.from_procrastinate(app, SHOP).url.database == "shop"
    assert (
        Hub.from_procrastinate(app, settings=Settings(database_url=SHOP)).url.host == "db.example"
    )


def test_a_given_url_wins_over_the_connectors() -> None:
    app = App(connector=PsycopgConnector(conninfo=SHOP))

    hub = Hub.from_procrastinate(app, "postgresql://ann@other/books")

    assert (hub.url.host, hub.url.database) == ("other", "books")


def test_the_schema_is_set_else_the_search_paths_else_public() -> None:
    options = {"options": "-c search_path=jobs"}
    plain = App(connector=PsycopgConnector(conninfo=SHOP))
    pathed = App(connector=PsycopgConnector(conninfo=SHOP, kwargs=options))
    told = Settings(schema="taskhub", sources={"schema": "environment"})

    assert Hub.from_procrastinate(plain, settings=Settings()).settings.schema == "public"
    assert Hub.from_procrastinate(pathed, settings=Settings()).settings.schema == "jobs"
    assert Hub.from_procrastinate(pathed, settings=Settings(schema="x")).settings.schema == "x"
    assert Hub.from_procrastinate(pathed, settings=told).settings.schema == "taskhub"
