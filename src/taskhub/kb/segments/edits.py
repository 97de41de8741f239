"""Tables of what shall become of segments: new texts that wait until they can be found."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base


class SegmentImport(Base):
    """One table of rows that was handed in; its state is told by the view segment_import_states."""

    __tablename__ = "segment_imports"
    __table_args__ = (Index("ix_segment_imports_document_id", "document_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    # With those that could not be used.
    rows_total: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    job_id: Mapped[int | None] = mapped_column(BigInteger)


class SegmentEdit(Base):
    """The text that a segment shall have, or that shall become a segment; gone when it has.

    What it changes is found as it was until then. With an `error` it never will be, and says why.
    """

    __tablename__ = "segment_edits"
    __table_args__ = (
        Index("ix_segment_edits_document_id", "document_id", "id"),
        Index("ix_segment_edits_import_id", "import_id", "line"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    # None for a segment that is not there yet. One edit of a segment waits: the last one.
    segment_id: Mapped[int | None] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), unique=True
    )
    import_id: Mapped[int | None] = mapped_column(
        ForeignKey("segment_imports.id", ondelete="CASCADE")
    )
    # Of the imported file, counted from 1.
    line: Mapped[int | None]
    text: Mapped[str] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
