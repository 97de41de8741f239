"""The mails of which nobody knows whether they arrived, found among any number of others.

Revision ID: 0021
Revises: 0015
"""

from alembic import context, op

revision = "0021"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"""
        CREATE INDEX ix_mail_outbox_doubtful ON {kb}.mail_outbox (id)
        WHERE doubtful_at IS NOT NULL OR state = 'sending'
    """)


def downgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"DROP INDEX {kb}.ix_mail_outbox_doubtful")
