"""What alembic runs: taskhub hands over the connection and the schemas' names as attributes."""

from alembic import context
from sqlalchemy import text

from taskhub.db import KB_SCHEMA, Base
from taskhub.migrations import VERSION_TABLE

config = context.config
schema = config.attributes["schema"]
kb_schema = config.attributes["kb_schema"]
options = {
    "target_metadata": Base.metadata,
    "version_table": VERSION_TABLE,
    "version_table_schema": schema,
    "include_schemas": True,
    # The queue's own tables are written in SQL: only the models' schema is compared.
    "include_name": lambda name, kind, _parents: kind != "schema" or name == kb_schema,
    "compare_type": True,
}

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # the default one doubles every percent sign
        output_buffer=config.output_buffer,
        **options,
    )
    with context.begin_transaction():
        # alembic writes its version table first, so the schema must come before it.
        context.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        context.run_migrations()
else:
    connection = config.attributes["connection"]
    if kb_schema != KB_SCHEMA:
        connection = connection.execution_options(schema_translate_map={KB_SCHEMA: kb_schema})
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        # A migration that waits for a lock makes everybody queue behind it: better to fail and be
        # run again. Two that run at once take turns.
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        connection.execute(text("SET LOCAL statement_timeout = '15min'"))
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('taskhub migrate', 0))")
        )
        context.run_migrations()
