"""The segments' table, with their words for full-text search."""

import enum
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import KB_SCHEMA, Base


class SegmentState(enum.StrEnum):
    """Whether a segment can be found: not yet, yes, or never because its text cannot be embedded."""

    WAITING = "waiting"
    COMPLETED = "completed"
    ERROR = "error"


class Segment(Base):
    """One passage of a document; positions count from 0."""

    __tablename__ = "segments"
    __table_args__ = (
        # An index job that runs again finds its own rows instead of making new ones.
        UniqueConstraint("document_id", "position"),
        Index("ix_segments_dataset_id", "dataset_id", "id"),
        Index("ix_segments_words", "words", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    tokens: Mapped[int]
    sha256: Mapped[str] = mapped_column(Text)
    # Where the text is a question; it is shown, and neither searched nor embedded.
    answer: Mapped[str | None] = mapped_column(Text)
    keywords: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Chinese has no spaces, so the words are cut here and not by a text search configuration.
    words: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    state: Mapped[SegmentState] = mapped_column(
        Enum(
            SegmentState,
            name="segment_state",
            schema=KB_SCHEMA,
            values_callable=lambda members: [member.value for member in members],
        ),
        server_default=SegmentState.WAITING.value,
    )
    error: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(server_default="true")
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ChildSegment(Base):
    """A smaller piece of a segment, by whose vector the segment is found; positions count from 0."""

    __tablename__ = "child_segments"
    __table_args__ = (
        UniqueConstraint("segment_id", "position"),
        Index("ix_child_segments_document_id", "document_id"),
        # Keyset order of a dataset's clean-up.
        Index("ix_child_segments_dataset_id", "dataset_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id", ondelete="CASCADE"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    tokens: Mapped[int]
    sha256: Mapped[str] = mapped_column(Text)
