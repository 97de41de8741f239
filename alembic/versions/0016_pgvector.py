"""Vectors with an index, a table for each width: a branch of its own, for servers that have pgvector.

Revision ID: 0016
Revises:
"""

from alembic import context, op

revision = "0016"
down_revision = None
branch_labels = ("vectors",)
depends_on = "0010"

WIDTHS = (384, 512, 768, 1024, 1536, 3072)


def upgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    for width in WIDTHS:
        _table(kb, width)
        # What was indexed before pgvector came.
        op.execute(f"""
            WITH moved AS (
                DELETE FROM {kb}.vectors_exact WHERE cardinality(vector) = {width} RETURNING *
            )
            INSERT INTO {kb}.vectors_{width} (segment_id, part, model, dataset_id, vector)
            SELECT segment_id, part, model, dataset_id, vector::{_kind(width)} FROM moved
        """)


def _kind(width: int) -> str:
    # pgvector's index takes no wider vectors in single precision.
    return f"vector({width})" if width <= 2000 else f"halfvec({width})"


def _table(kb: str, width: int) -> None:
    name = f"vectors_{width}"
    operators = "vector_cosine_ops" if width <= 2000 else "halfvec_cosine_ops"
    op.execute(f"""
        CREATE TABLE {kb}.{name} (
            segment_id bigint NOT NULL CONSTRAINT fk_{name}_segment_id
                REFERENCES {kb}.segments ON DELETE CASCADE,
            part integer NOT NULL,
            model text NOT NULL,
            dataset_id bigint NOT NULL CONSTRAINT fk_{name}_dataset_id
                REFERENCES {kb}.datasets ON DELETE CASCADE,
            vector {_kind(width)} NOT NULL,
            CONSTRAINT pk_{name} PRIMARY KEY (segment_id, part, model)
        )
    """)
    if width <= 1536:
        # A page holds them; out of line, an exact comparison would fetch each one by itself.
        op.execute(f"ALTER TABLE {kb}.{name} ALTER COLUMN vector SET STORAGE PLAIN")
    op.execute(f"CREATE INDEX ix_{name}_dataset_id ON {kb}.{name} (dataset_id, model)")
    op.execute(f"CREATE INDEX ix_{name}_vector ON {kb}.{name} USING hnsw (vector {operators})")


def downgrade() -> None:
    kb = context.config.attributes["kb_schema"]
    for width in WIDTHS:
        op.execute(f"""
            INSERT INTO {kb}.vectors_exact (segment_id, part, model, dataset_id, vector)
            SELECT segment_id, part, model, dataset_id, vector::real[] FROM {kb}.vectors_{width}
        """)
        op.execute(f"DROP TABLE {kb}.vectors_{width}")
    # The extension may have been there before.
