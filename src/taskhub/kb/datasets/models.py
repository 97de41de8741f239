"""The datasets' table."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import KB_SCHEMA, Base


class Technique(enum.StrEnum):
    """How a dataset is indexed: by vectors and words, or by words alone."""

    HIGH_QUALITY = "high_quality"
    ECONOMY = "economy"


class Dataset(Base):
    """Documents that are searched together; one embedding model and one way of splitting."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    embedding_model: Mapped[str] = mapped_column(Text)
    technique: Mapped[Technique] = mapped_column(
        Enum(
            Technique,
            name="dataset_technique",
            schema=KB_SCHEMA,
            values_callable=lambda members: [member.value for member in members],
        )
    )
    # A ProcessRule as `stored()` writes it; `datasets.rule` reads it.
    process_rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    # Set when its removal was asked for: nothing is added, indexed or found from then on.
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
