"""Vectors that are compared one and all, where pgvector cannot be had.

Revision ID: 0010
Revises: 0009
"""

from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    # Two models' vectors stand side by side while a dataset changes from one to the other.
    op.execute(f"""
        CREATE TABLE {kb}.vectors_exact (
            segment_id bigint NOT NULL CONSTRAINT fk_vectors_exact_segment_id
                REFERENCES {kb}.segments ON DELETE CASCADE,
            part integer NOT NULL,  -- 0: of the segment's own text, n: of its n-th child
            model text NOT NULL,
            dataset_id bigint NOT NULL CONSTRAINT fk_vectors_exact_dataset_id
                REFERENCES {kb}.datasets ON DELETE CASCADE,
            vector real[] NOT NULL,
            CONSTRAINT pk_vectors_exact PRIMARY KEY (segment_id, part, model)
        )
    """)
    op.execute(
        f"CREATE INDEX ix_vectors_exact_dataset_id ON {kb}.vectors_exact (dataset_id, model)"
    )


def downgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"DROP TABLE {kb}.vectors_exact")
