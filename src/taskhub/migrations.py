"""Bring a database to the schema this version needs, say how far it is, or print the SQL."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import Engine

from taskhub import embedded
from taskhub.settings import Settings

# What this version's worker speaks; the database says the lowest it still serves.
WORKER_VERSION = 1
# Where each branch ends, so that a worker need not read the scripts: alembic takes 0.3 s to import.
HEADS = {"queue": "0020", "kb": "0021", "vectors": "0016"}
# Not alembic's own name: the schema may be one that the user's alembic keeps its version in.
VERSION_TABLE = "taskhub_version"


class SchemaBehind(RuntimeError):
    """The database lacks what this version needs, or no longer serves it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a migration did: revisions before and after, and one line for each part left out.

    Attributes:
        dropped: the tables that a downgrade dropped, with what they held.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    left_out: tuple[str, ...]
    dropped: tuple[str, ...] = ()


class _Undone(Exception):
    """A dry run rolls back what it did."""


def upgrade(engine: Engine, settings: Settings, *, queue_only: bool = False) -> Report:
    """Migrate in one transaction of its own; vectors get their index only where pgvector can be had.

    With `queue_only` nothing but the queue's schema is made, and no extension.
    """
    from alembic import command

    with engine.connect() as connection:
        before = heads(connection, settings)
        refusal = _vector_refusal(connection, settings)
        connection.rollback()
        with _prepared(connection, settings):
            rest = () if queue_only else ("kb", *(["vectors"] if refusal is None else []))
            for branch in ("queue", *rest):
                command.upgrade(_config(settings, connection), f"{branch}@head")
        after = heads(connection, settings)
        left_out = [_how_to_adopt(s) for s in _not_adopted(connection, settings)]
    if refusal is not None and not queue_only:
        left_out.append(f"vectors are compared one and all, without an index: {refusal}")
    return Report(before, after, tuple(left_out))


def downgrade(
    engine: Engine, settings: Settings, revision: str, *, dry_run: bool = False
) -> Report:
    """Go back to `revision` ("queue@base", "kb@base", "0001"): tables and what they hold are dropped.

    procrastinate's tables that were there before taskhub stay, with their jobs, as its version 3.10
    has them. A dry run does the same and rolls back: for that moment it locks the tables.
    """
    from alembic import command

    after: tuple[str, ...] = ()
    with engine.connect() as connection, suppress(_Undone):
        before, there = heads(connection, settings), _tables(connection, settings)
        connection.rollback()
        with _prepared(connection, settings):
            command.downgrade(_config(settings, connection), revision)
            after = heads(connection, settings)
            gone = there - _tables(connection, settings)
            if not after:
                connection.execute(text(f"DROP TABLE IF EXISTS {settings.schema}.{VERSION_TABLE}"))
            if dry_run:
                raise _Undone
    return Report(before, after, (), tuple(sorted(gone)))


def _tables(connection: Connection, settings: Settings) -> set[str]:
    """The tables of both schemas, without the partitions of others."""
    query = """
        SELECT n.nspname || '.' || c.relname
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    """
    schemas = [settings.schema, settings.kb_schema]
    return set(connection.scalars(text(query), {"schemas": schemas}))


def offline_sql(settings: Settings) -> str:
    """The SQL of every migration, for people who run SQL by other means."""
    from alembic import command

    config = _config(settings, None)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "heads", sql=True)
    return str(config.output_buffer.getvalue())


def heads(connection: Connection, settings: Settings) -> tuple[str, ...]:
    """The revisions the database stands at; empty where nothing was ever migrated."""
    table = f"{settings.schema}.{VERSION_TABLE}"
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": table}) is None:
        return ()
    rows = connection.scalars(text(f"SELECT version_num FROM {table} ORDER BY 1"))  # noqa: S608 - the name was checked by Settings
    return tuple(rows)


def behind(connection: Connection, settings: Settings, *, branch: str = "queue") -> str | None:
    """One line that says what the database lacks for `branch`, or None."""
    have = heads(connection, settings)
    if HEADS[branch] in have:
        return None
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config(settings, None))
    wanted = script.get_revision(f"{branch}@head")
    known = {r.revision for r in script.walk_revisions()}
    if newer := [r for r in have if r not in known]:
        # A newer schema may still serve our worker: its own row tells, see `require`.
        newest = f"the database is at {', '.join(newer)}, newer than this taskhub"
        return None if branch == "queue" else newest
    if wanted.revision not in _reached(script, have):
        now = ", ".join(have) or "nothing"
        return f"the database is at {now} and needs {wanted.revision}; run `taskhub db migrate`"
    return None


def require(connection: Connection, settings: Settings) -> None:
    """Refuse a database whose schema does not serve this version's worker.

    Raises:
        SchemaBehind: with the command that mends it.
    """
    if lacking := behind(connection, settings):
        raise SchemaBehind(lacking)
    lowest = connection.scalar(text(f"SELECT lowest_worker_version FROM {settings.schema}.hub"))  # noqa: S608 - the name was checked by Settings
    if lowest is None or lowest > WORKER_VERSION:
        raise SchemaBehind(
            f"the database serves workers of version {lowest} and up, this one is {WORKER_VERSION}; "
            "run `pip install --upgrade taskhub`"
        )


def differences(engine: Engine, settings: Settings) -> list[Any]:
    """What the models say and the database does not, as alembic's check finds it; empty is clean."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from taskhub.db import Base

    with engine.connect() as connection:
        has_index = HEADS["vectors"] in heads(connection, settings)
        found = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table": VERSION_TABLE,
                "version_table_schema": settings.schema,
                "compare_type": True,
                "include_object": lambda _, name, kind, *__: (
                    kind != "table" or has_index or not _is_indexed(name)
                ),
                "include_name": lambda name, kind, _: (
                    kind != "schema" or name == settings.kb_schema
                ),
            },
        )
        return list(compare_metadata(found, Base.metadata))


def _is_indexed(table: str) -> bool:
    return table.startswith("vectors_") and table != "vectors_exact"


def include_name(name: str | None, kind: str, parents: dict[str, Any]) -> bool:
    """For the `include_name` of a user's own alembic env.py: leaves taskhub's schemas alone."""
    ours = ("taskhub", "taskhub_kb")
    return not (kind == "schema" and name in ours) and parents.get("schema_name") not in ours


def migrations_path() -> Path:
    """The folder of the migrations: inside the installed package, or the checkout's top level."""
    inside = Path(__file__).parent / "_alembic"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "alembic"


def _reached(script: Any, have: tuple[str, ...]) -> set[str]:
    """Every revision that stands below `have`, through its branch and through what it depends on."""
    reached: set[str] = set()
    waiting = list(have)
    while waiting:
        revision = script.get_revision(waiting.pop())
        if revision is None or revision.revision in reached:
            continue
        reached.add(revision.revision)
        for below in (revision.down_revision, revision.dependencies):
            waiting.extend([below] if isinstance(below, str) else below or ())
    return reached


@contextmanager
def _prepared(connection: Connection, settings: Settings) -> Iterator[None]:
    """One transaction around all revisions: a failure leaves the database as it was."""
    with connection.begin():
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {settings.schema}"))
        yield


def _config(settings: Settings, connection: Connection | None) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_path()).replace("%", "%%"))
    config.attributes.update(
        schema=settings.schema, kb_schema=settings.kb_schema, connection=connection
    )
    return config


def _not_adopted(connection: Connection, settings: Settings) -> list[str]:
    """The schemas in which sessions find procrastinate's tables that no taskhub works on."""
    found = connection.scalars(
        text("""
            SELECT s.name
            FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, place)
            WHERE s.name <> :schema
              AND to_regclass(format('%I.procrastinate_jobs', s.name)) IS NOT NULL
              AND to_regclass(format('%I.taskhub_version', s.name)) IS NULL
            ORDER BY s.place
        """),
        {"schema": settings.schema},
    )
    return list(found)


def _how_to_adopt(schema: str) -> str:
    return (
        f"procrastinate's tables in schema {schema} left alone; to have taskhub work on them, with "
        f"their jobs, set TASKHUB_SCHEMA={schema} and migrate again"
    )


def _vector_refusal(connection: Connection, settings: Settings) -> str | None:
    available = connection.scalar(
        text("SELECT count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'vector'")
    )
    if not available:
        return "the server has no pgvector; install it (apt install postgresql-NN-pgvector) and migrate again"
    # Only the wheel's build may not fit the processor, and its server runs where we run.
    return embedded.vector_refusal() if settings.database_url == "embedded" else None
