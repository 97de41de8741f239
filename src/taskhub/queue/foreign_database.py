"""Which database a procrastinate App works in: read from its connector, without opening it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from procrastinate.connector import BaseConnector
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL, make_url

from taskhub import db

# Keys of a URL that have a place of their own in it.
_PLACED = ("user", "password", "host", "port", "dbname")
_NAMES_NO_SCHEMA = ("$user", "pg_catalog", "pg_temp")


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and the schema that its sessions see first; None where the role decides."""

    url: str
    schema: str | None


def place_of(connector: BaseConnector) -> Place | None:
    """Where the connector's sessions work; None: it does not say."""
    given = _given(connector)
    if given is None:
        return None
    conninfo, parameters = given
    known = {option.keyword.decode(): option.val for option in pq.Conninfo.get_defaults()}
    named = {k: str(v) for k, v in parameters.items() if k in known and v is not None}
    try:
        parts = {k: str(v) for k, v in conninfo_to_dict(conninfo, **named).items()}
    except psycopg.ProgrammingError:
        return None
    # What neither says comes from PG* variables; the name of the database must be known.
    for key in ("host", "port", "user", "dbname"):
        default = known[key]
        if key not in parts and default is not None:
            parts[key] = default.decode()
    parts.setdefault("dbname", parts.get("user", ""))
    names, rest = _search_path(parts.pop("options", ""))
    if rest:
        parts["options"] = rest
    return Place(_url(parts), next((n for n in names if n not in _NAMES_NO_SCHEMA), None))


def _given(connector: Any) -> tuple[str, Mapping[str, Any]] | None:
    """What its connections are made of: text for libpq, and parameters that win over it."""
    if (engine_dsn := getattr(connector, "_engine_dsn", None)) is not None:
        engine = getattr(connector, "_engine", None)
        url = engine.url if engine is not None else make_url(engine_dsn)
        arguments = getattr(connector, "_engine_kwargs", {}).get("connect_args", {})
        return db.conninfo(url), _as_libpq(arguments)
    pool = getattr(connector, "_async_pool", None) or getattr(connector, "_pool", None)
    if pool is not None and getattr(connector, "_pool_externally_set", False):
        conninfo, arguments = getattr(pool, "conninfo", None), getattr(pool, "kwargs", None) or {}
    elif (arguments := getattr(connector, "_pool_args", None)) is not None:
        conninfo = arguments.get("conninfo", arguments.get("dsn", ""))
        # psycopg's pool takes the connections' parameters apart, psycopg2's among its own.
        arguments = arguments.get("kwargs", None) or ({} if "conninfo" in arguments else arguments)
    else:
        return None
    # They may be functions, whose answer changes: a password that is fetched for each connection.
    if not isinstance(conninfo, str) or not isinstance(arguments, Mapping):
        return None
    return conninfo, _as_libpq(arguments)


def _as_libpq(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"dbname" if key == "database" else key: value for key, value in arguments.items()}


def _search_path(options: str) -> tuple[list[str], str]:
    """The schemas that the `options` of a connection put on the path, and the other options."""
    names: list[str] = []
    rest: list[str] = []
    for setting in _settings(options):
        name, _, value = setting.partition("=")
        if name.replace("-", "_") == "search_path":
            names = [part.strip().strip('"') for part in value.split(",") if part.strip()]
        else:
            rest += ["-c", re.sub(r"([\\ ])", r"\\\1", setting)]
    return names, " ".join(rest)


def _settings(options: str) -> Iterator[str]:
    """Each name=value: after `-c`, grown together with it, or after two dashes."""
    words = iter(shlex.split(options.replace('"', r"\"")))
    for word in words:
        if word == "-c":
            yield next(words, "")
        elif word.startswith(("-c", "--")):
            yield word[2:]


def _url(parts: Mapping[str, str]) -> str:
    query = {key: value for key, value in parts.items() if key not in _PLACED}
    host, port = parts.get("host"), parts.get("port")
    # A socket's folder and a list of hosts have no place in a URL but in its query.
    if host is not None and (host.startswith(("/", "@")) or "," in host):
        query["host"] = host
        if port:
            query["port"] = port
        host = port = None
    return URL.create(
        "postgresql",
        username=parts.get("user"),
        password=parts.get("password"),
        host=host,
        port=int(port) if port else None,
        database=parts.get("dbname"),
        query=query,
    ).render_as_string(hide_password=False)
