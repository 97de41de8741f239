"""How taskhub talks to Postgres through SQLAlchemy: addresses, engines, the models' base."""

from typing import Any

from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from taskhub.settings import Settings

# The schema's name as the models write it; `engine()` translates it where a setting says otherwise.
KB_SCHEMA = "taskhub_kb"


class NoDatabase(RuntimeError):
    """No database was named; taskhub never starts an empty one in silence."""


class BadAddress(ValueError):
    """The database url is not one that taskhub can use."""


class Base(DeclarativeBase):
    """What every model of the knowledge base, mail and system families inherits."""

    metadata = MetaData(
        schema=KB_SCHEMA,
        # Names are fixed so that a migration can drop what another one made.
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        },
    )


class _Pool(QueuePool):
    """Also closes what comes back after it was disposed of: a thread may be in a statement then.

    SQLAlchemy leaves such a connection to the garbage collector.
    """

    _is_disposed = False

    def dispose(self) -> None:
        self._is_disposed = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        # Looked at after it lies in the pool: then one of the two closes it, whoever comes first.
        if self._is_disposed:
            super().dispose()


class _AsyncPool(_Pool, AsyncAdaptedQueuePool):
    """The same for asyncio."""


def address(database_url: str | None) -> URL:
    """The url as SQLAlchemy takes it, with psycopg as its driver.

    Raises:
        NoDatabase: there is no url.
        BadAddress: it is no postgresql:// url.
    """
    if not database_url:
        raise NoDatabase(
            "no database is named; set TASKHUB_DATABASE_URL=postgresql://user@host/name, "
            "or TASKHUB_DATABASE_URL=embedded for the Postgres that comes with taskhub[embedded]"
        )
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise BadAddress(
            f"database url must look like postgresql://user@host/name, got {database_url!r}"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise BadAddress(f"database must be PostgreSQL, got {url.get_backend_name()}")
    return url.set(drivername="postgresql+psycopg")


def conninfo(url: URL) -> str:
    """The same address for psycopg and libpq."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def without_password(url: URL) -> URL:
    """The same address for a command line, which every user of the machine can read."""
    # Not url.set(password=None): there None means that the password stays.
    return URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    )


def engine(url: URL, settings: Settings, **options: Any) -> Engine:
    """A pool of connections; prepared statements are off, so that PgBouncer may stand between."""
    return create_engine(
        url,
        connect_args={"prepare_threshold": None, "connect_timeout": 10},
        execution_options=_translation(settings),
        **{"poolclass": _Pool} | options,
    )


def async_engine(url: URL, settings: Settings, **options: Any) -> AsyncEngine:
    """The same for asyncio; its pool belongs to the event loop that uses it first."""
    return create_async_engine(
        url,
        connect_args={"prepare_threshold": None, "connect_timeout": 10},
        execution_options=_translation(settings),
        **{"poolclass": _AsyncPool} | options,
    )


def _translation(settings: Settings) -> dict[str, Any]:
    if settings.kb_schema == KB_SCHEMA:
        return {}
    return {"schema_translate_map": {KB_SCHEMA: settings.kb_schema}}
