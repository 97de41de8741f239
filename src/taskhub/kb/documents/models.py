"""The documents' tables: one row a document, and its file in parts."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKey, Identity, Index, Text, func, text
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
    __table_args__ = (
        # Keyset order of a dataset's clean-up and of its listing.
        Index("ix_documents_dataset_id", "dataset_id", "id"),
        Index(
            "ix_documents_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        ),
        Index(
            "ix_documents_replaces_id",
            "replaces_id",
            postgresql_where=text("replaces_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    # The absolute path or web address it was read from; None for content that came without one.
    source: Mapped[str | None] = mapped_column(Text)
    # What the web server said of the version that is stored, to ask for a newer one alone.
    source_etag: Mapped[str | None] = mapped_column(Text)
    source_modified: Mapped[str | None] = mapped_column(Text)
    # When the source was last compared with what is stored.
    synced_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
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
    # Of what the segments were made, set when they are complete: the same again costs nothing.
    text_sha256: Mapped[str | None] = mapped_column(Text)
    indexed_sha256: Mapped[str | None] = mapped_column(Text)
    indexed_as: Mapped[str | None] = mapped_column(Text)
    batch_id: Mapped[int | None] = mapped_column(
        ForeignKey("document_batches.id", ondelete="SET NULL"), index=True
    )
    # How it is cut where that differs from its dataset's way.
    process_rule: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The job that works, or worked, on it; not a foreign key, because done jobs leave their table.
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    # What its owner says of it, for filters; SQLAlchemy has another use for the name `metadata`.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    # Set in a new version that is built beside its document until it is whole: never enabled,
    # never listed. The document itself stays as it is meanwhile.
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    # Set when its removal was asked for: nothing is indexed or found from then on.
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DocumentBatch(Base):
    """Documents that were added together; how many are done is told by their own rows."""

    __tablename__ = "document_batches"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    dataset_id: Mapped[int] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    # Paths that came; None while they still come.
    total: Mapped[int | None]
    # Paths that no document could be made of, a directory that cannot be listed.
    refused: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


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
