"""procrastinate's own tables, types and functions: made, or found and brought to 3.10.

Revision ID: 0001
Revises:
"""

from pathlib import Path

from alembic import context, op
from alembic.util import load_python_file

revision = "0001"
down_revision = None
branch_labels = ("queue",)
depends_on = None

pinned = load_python_file(Path(__file__).parents[1], "pinned.py")


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    # The pinned SQL names nothing by schema: it lands in the first one of the path.
    op.execute(f"SET LOCAL search_path = {schema}")
    # What was not made here must not be dropped on the way back.
    op.execute("""
        DO $$ BEGIN
            IF to_regclass('procrastinate_jobs') IS NOT NULL THEN
                COMMENT ON TABLE taskhub_version IS 'procrastinate adopted';
            END IF;
        END $$
    """)
    pinned.create(op.execute)
    pinned.keep_path(op.execute, schema)
    op.execute("SET LOCAL search_path = DEFAULT")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    if _is_adopted(schema):
        op.execute(f"SET LOCAL search_path = {schema}")
        pinned.restore(op.execute)
        op.execute("SET LOCAL search_path = DEFAULT")
    else:
        _drop(schema)


def _is_adopted(schema: str) -> bool:
    return bool(
        op.get_bind()
        .exec_driver_sql(f"""
            SELECT obj_description('{schema}.taskhub_version'::regclass, 'pg_class')
                = 'procrastinate adopted'
        """)
        .scalar()
    )


def _drop(schema: str) -> None:
    op.execute(f"""
        DROP TABLE {schema}.procrastinate_events, {schema}.procrastinate_periodic_defers,
            {schema}.procrastinate_jobs, {schema}.procrastinate_workers CASCADE
    """)
    op.execute(f"""
        DO $$
        DECLARE _thing record;
        BEGIN
            FOR _thing IN
                SELECT p.oid::regprocedure AS name
                FROM pg_catalog.pg_proc AS p
                WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname LIKE 'procrastinate%'
            LOOP
                EXECUTE format('DROP FUNCTION %s CASCADE', _thing.name);
            END LOOP;
        END $$
    """)
    op.execute(f"DROP TYPE {schema}.procrastinate_job_to_defer_v1")
    op.execute(
        f"DROP TYPE {schema}.procrastinate_job_event_type, {schema}.procrastinate_job_status"
    )
