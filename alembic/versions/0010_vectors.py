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
    _changes(kb)


def _changes(kb: str) -> None:
    op.execute(f"""
        ALTER TABLE {kb}.datasets
            ADD COLUMN next_model text,
            ADD COLUMN built_to bigint NOT NULL DEFAULT 0
    """)
    op.execute(f"""
        CREATE TABLE {kb}.segment_refusals (
            segment_id bigint NOT NULL CONSTRAINT pk_segment_refusals PRIMARY KEY
                CONSTRAINT fk_segment_refusals_segment_id
                    REFERENCES {kb}.segments ON DELETE CASCADE,
            model text NOT NULL,
            sha256 text NOT NULL,
            reason text NOT NULL
        )
    """)


def downgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute(f"DROP TABLE {kb}.segment_refusals")
    op.execute(f"ALTER TABLE {kb}.datasets DROP COLUMN next_model, DROP COLUMN built_to")
    op.execute(f"DROP TABLE {kb}.vectors_exact")
