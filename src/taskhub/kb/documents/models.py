"""The documents' tables: one row a document, and its file in parts."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKey, Identity, Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import KB_SCHEMA, Base

PART_BYTES = 1 << 20


class DocumentState(enum.StrEnum):
    """The stage a document reached; whether work goes on is told by the view document_states."""

    WAITING = "waiting"
    PARSING = "parsing"
    CLEANING = "cleaning"
    SPLITTING = "splitting"
    INDEXING = "indexing"
    COMPLETED = "completed"
    ERROR = "error"
    PAUSED = "paused"


class Document(Base):
    """One file taken in, readable or not; each stage has the time at which it was last entered."""

    __tablename__ = "documents"
    # Keyset order of a dataset's clean-up and of its listing.
    __table_args__ = (Index("ix_documents_dataset_id", "dataset_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    # The absolute path it was read from; None for content that came without one.
    source: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(Text)
    media_type: Mapped[str | None] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sha256: Mapped[str | None] = mapped_column(Text)
    state: Mapped[DocumentState] = mapped_column(
        Enum(
            DocumentState,
            name="document_state",
            schema=KB_SCHEMA,
            values_callable=lambda members: [member.value for member in members],
        ),
        server_default=DocumentState.WAITING.value,
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    parsing_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    cleaning_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    splitting_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Set means: the segments are whole, and only their vectors may be missing.
    indexing_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    paused_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)
    error_kind: Mapped[str | None] = mapped_column(Text)
    segments_total: Mapped[int] = mapped_column(server_default="0")
    segments_done: Mapped[int] = mapped_column(server_default="0")
    characters: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    archived: Mapped[bool] = mapped_column(server_default="false")
    # How it is cut where that differs from its dataset's way.
    process_rule: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The job that works, or worked, on it; not a foreign key, because done jobs leave their table.
    job_id: Mapped[int | None] = mapped_column(BigInteger)


class DocumentPart(Base):
    """PART_BYTES of a document's file, the last part less.

    Files live in the database so that they commit, are backed up and vanish with their document.
    """

    __tablename__ = "document_parts"

    document_id: Mapped[int] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]
