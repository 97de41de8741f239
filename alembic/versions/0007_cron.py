"""Schedules: one high-water mark for each, moved in the transaction that inserts a tick's jobs.

Revision ID: 0007
Revises: 0005
"""

from alembic import context, op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    # mark: every tick up to here is dealt with. The rest of the definition is for those who look:
    # what is due is worked out by the workers, which have the code.
    op.execute(f"""
        CREATE TABLE {schema}.crons (
            task_name text NOT NULL,
            cron_id text NOT NULL,
            expression text NOT NULL,
            zone text NOT NULL,
            catch_up text NOT NULL,
            jitter_seconds double precision NOT NULL,
            mark timestamptz NOT NULL,
            last_tick timestamptz,
            last_job_id bigint,
            paused_at timestamptz,
            pause_reason text,
            PRIMARY KEY (task_name, cron_id)
        ) WITH (
            fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
            vacuum_truncate = off
        )
    """)


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP TABLE {schema}.crons")
