"""Tables of vectors: the cache by text, and one index table for each class of widths."""

from datetime import datetime

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import DateTime, ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, REAL
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base


class Embedding(Base):
    """What a model made of a text, by the text's sha256; no dataset owns it."""

    __tablename__ = "embeddings"

    model: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    vector: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


class SegmentVector512(Base):
    """The vector of a segment, for models of width 512."""

    __tablename__ = "segment_vectors_512"
    __table_args__ = (
        Index("ix_segment_vectors_512_dataset_id", "dataset_id"),
        Index(
            "ix_segment_vectors_512_vector",
            "vector",
            postgresql_using="hnsw",
            postgresql_ops={"vector": "vector_cosine_ops"},
        ),
    )

    segment_id: Mapped[int] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # Here too, so that a search can filter before it joins.
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    model: Mapped[str] = mapped_column(Text)
    vector: Mapped[list[float]] = mapped_column(VECTOR(512))
