"""Unique keys: which job has one, taken in the transaction that stores the job.

Revision ID: 0008
Revises: 0007
"""

from pathlib import Path

from alembic import context, op
from alembic.util import load_python_file

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"
FUNCTIONS = ("key_holder_v1", "replace_job_v1", "defer_unique_v1")
engine = load_python_file(Path(__file__).parent, "0002_engine.py")


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    # keep_seconds: how long the key counts at most once its job has ended; see prune_keys.
    op.execute(f"""
        CREATE TABLE {schema}.unique_keys (
            task_name text NOT NULL,
            key text NOT NULL,
            job_id bigint NOT NULL,
            previous_job_id bigint,
            taken_at timestamptz NOT NULL,
            keep_seconds double precision NOT NULL,
            CONSTRAINT unique_keys_pkey PRIMARY KEY (task_name, key)
        ) WITH (
            fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
            autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
        )
    """)
    op.execute(f"CREATE UNIQUE INDEX unique_keys_job_id ON {schema}.unique_keys (job_id)")
    for name in FUNCTIONS:
        body = (SQL / f"{name}.sql").read_text(encoding="utf-8")
        op.execute(body.replace("{schema}", schema).replace("{planner}", engine.PLANNER))
    # It runs with its owner's rights, and would let anybody who may use the schema store jobs.
    op.execute(f"REVOKE ALL ON FUNCTION {schema}.defer_unique_v1 FROM PUBLIC")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    for name in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {schema}.{name}")
    op.execute(f"DROP TABLE {schema}.unique_keys")
