"""The tenants' table."""

from datetime import datetime

from sqlalchemy import DateTime, Identity, Text, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from taskhub.db import Base


class Tenant(Base):
    """One customer, or the only one of a private installation."""

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    # What its jobs' priority follows, by the setting plan_priorities.
    plan: Mapped[str] = mapped_column(Text, server_default="standard")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
