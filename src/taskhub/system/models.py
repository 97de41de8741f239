"""What the system family keeps: alerts, notices, statistics, bookmarks."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Integer, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base


class Notice(Base):
    """What operators are told, whichever way it goes to them: a subject and at most some dozens of lines."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    lines: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


class Alert(Base):
    """Something that is wrong since a time, and until another one.

    Attributes:
        key: what it is about, "queue_without_worker:mail"; at most one alert of a key is open.
        seen_at: when the monitor saw it last.
        told_at: when operators were told; None: they were not, a moment ago they had been.
    """

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    remedy: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    told_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    resolved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)

    __table_args__ = (
        CheckConstraint("severity IN ('warning', 'critical')", name="severity"),
        Index("uq_alerts_key", "key", unique=True, postgresql_where=resolved_at.is_(None)),
        Index("ix_alerts_key_told_at", "key", "told_at"),
    )


class HourStatistics(Base):
    """The runs of one task in one queue that ended within the hour that begins at `hour`."""

    __tablename__ = "job_statistics"

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    queue: Mapped[str] = mapped_column(Text, primary_key=True)
    task: Mapped[str] = mapped_column(Text, primary_key=True)
    succeeded: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    retried: Mapped[int] = mapped_column(Integer)
    lost: Mapped[int] = mapped_column(Integer)
    duration_p50_seconds: Mapped[float | None]
    duration_p95_seconds: Mapped[float | None]
    wait_p50_seconds: Mapped[float | None]
    wait_p95_seconds: Mapped[float | None]


class Bookmark(Base):
    """How far a task that reads the history has come."""

    __tablename__ = "bookmarks"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
