"""The audit: who changed what and why.

Revision ID: 0017
Revises: 0008
"""

from alembic import context, op

revision = "0017"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"""
        CREATE TABLE {schema}.audit (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            actor text NOT NULL,
            source text NOT NULL CHECK (source IN ('cli', 'dashboard', 'api')),
            action text NOT NULL,
            target jsonb NOT NULL,
            reason text,
            matched bigint,
            changed bigint,
            outcome text NOT NULL CHECK (outcome IN ('done', 'partly', 'failed')),
            error text
        )
    """)
    op.execute(f"CREATE INDEX audit_actor ON {schema}.audit (actor, id)")
    op.execute(f"CREATE INDEX audit_action ON {schema}.audit (action, id)")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP TABLE {schema}.audit")
