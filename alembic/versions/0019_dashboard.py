"""The dashboard: its users, their failed logins, the key its cookies are signed with.

Revision ID: 0019
Revises: 0017
"""

from alembic import context, op

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"""
        CREATE TABLE {schema}.dashboard_users (
            name text PRIMARY KEY,
            password_hash text NOT NULL,
            role text NOT NULL CHECK (role IN ('none', 'read', 'operate', 'admin')),
            created_at timestamptz NOT NULL DEFAULT now(),
            sessions_from timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute(f"""
        CREATE TABLE {schema}.dashboard_logins (
            key text NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute(f"CREATE INDEX dashboard_logins_key ON {schema}.dashboard_logins (key, at)")
    op.execute(f"""
        CREATE TABLE {schema}.dashboard_keys (
            key text NOT NULL,
            made_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    # Several processes at their first page: one of them makes the key of all.
    op.execute(f"CREATE UNIQUE INDEX dashboard_keys_one_row ON {schema}.dashboard_keys ((true))")
    # Whoever may use the schema may not read hashes and keys for it.
    for table in ("users", "logins", "keys"):
        op.execute(f"REVOKE ALL ON {schema}.dashboard_{table} FROM PUBLIC")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(
        f"DROP TABLE {schema}.dashboard_users, {schema}.dashboard_logins, {schema}.dashboard_keys"
    )
