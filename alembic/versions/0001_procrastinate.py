"""procrastinate's own tables, types and functions, from the pinned copy of its SQL.

Revision ID: 0001
Revises:
"""

from pathlib import Path

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = ("queue",)
depends_on = None

PINNED = Path(__file__).parents[1] / "sql" / "procrastinate_3.10.sql"


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    # The pinned SQL names nothing by schema: it lands in the first one of the path.
    op.execute(f"SET LOCAL search_path = {schema}")
    op.execute(PINNED.read_text(encoding="utf-8"))
    # Its functions find their tables through the path too, and run in sessions that never heard
    # of ours: each keeps its own.
    op.execute(f"""
        DO $$
        DECLARE _function regprocedure;
        BEGIN
            FOR _function IN
                SELECT p.oid::regprocedure
                FROM pg_catalog.pg_proc AS p
                WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname LIKE 'procrastinate%'
            LOOP
                EXECUTE format(
                    'ALTER FUNCTION %s SET search_path = {schema}, pg_catalog, pg_temp', _function
                );
            END LOOP;
        END $$
    """)
    op.execute("SET LOCAL search_path = DEFAULT")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
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
