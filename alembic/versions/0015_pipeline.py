"""Whose turn documents are, and of what they were made.

Revision ID: 0015
Revises: 0014
"""

from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"ALTER TABLE {kb}.tenants ADD COLUMN plan text NOT NULL DEFAULT 'standard'")
    op.execute(f"""
        ALTER TABLE {kb}.documents
            ADD COLUMN text_sha256 text,
            ADD COLUMN indexed_sha256 text,
            ADD COLUMN indexed_as text
    """)


def downgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"""
        ALTER TABLE {kb}.documents DROP COLUMN text_sha256, DROP COLUMN indexed_sha256,
            DROP COLUMN indexed_as
    """)
    op.execute(f"ALTER TABLE {kb}.tenants DROP COLUMN plan")
