"""The table of documents that were switched off because nobody used their dataset."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base


class DatasetAutoDisabled(Base):
    """A document that was disabled with its unused dataset; its owner is told once."""

    __tablename__ = "dataset_auto_disabled"
    __table_args__ = (
        Index(
            "ix_dataset_auto_disabled_unnotified",
            "tenant_id",
            postgresql_where=text("notified_at IS NULL"),
        ),
    )

    document_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("documents.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    dataset_id: Mapped[int] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    disabled_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    notified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
