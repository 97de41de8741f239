"""How texts are cleaned and cut: rules, children, answers.

Revision ID: 0009
Revises: 0004
"""

revision = "0009"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
