"""The annotations' tables: answers, their vectors, who was given them, and imports."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Text,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base

MAX_QUESTION = 2000
MAX_ANSWER = 10_000


class Annotation(Base):
    """A question of an app, with the answer that somebody wrote for it."""

    __tablename__ = "annotations"
    __table_args__ = (
        Index("ix_annotations_app_id", "app_id", "id"),
        CheckConstraint(f"char_length(question) BETWEEN 1 AND {MAX_QUESTION}", name="question"),
        CheckConstraint(f"char_length(answer) BETWEEN 1 AND {MAX_ANSWER}", name="answer"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    # The message it corrects; one that was imported has none, and outlives none.
    message_id: Mapped[int | None] = mapped_column(
        ForeignKey("messages.id", ondelete="SET NULL"), index=True
    )
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    # Of the question: a vector that was made of another text answers nothing.
    sha256: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(server_default="true")
    hit_count: Mapped[int] = mapped_column(server_default="0")
    # Why it cannot be matched: the model gave no vector for its question.
    index_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class AnnotationSetting(Base):
    """Whether an app answers by annotations, how near a question must be, and by which model."""

    __tablename__ = "annotation_settings"
    __table_args__ = (
        CheckConstraint("score_threshold > 0 AND score_threshold <= 1", name="score_threshold"),
    )

    app_id: Mapped[int] = mapped_column(
        ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    enabled: Mapped[bool]
    score_threshold: Mapped[float]
    embedding_model: Mapped[str] = mapped_column(Text)


class AnnotationVector(Base):
    """A question's vector of length 1, float32 little-endian; a model change keeps two for a while."""

    __tablename__ = "annotation_vectors"
    __table_args__ = (
        Index("ix_annotation_vectors_app_id_model", "app_id", "model", "annotation_id"),
    )

    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotations.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(Text)
    vector: Mapped[bytes]


class AnnotationHit(Base):
    """A question that was answered by an annotation."""

    __tablename__ = "annotation_hits"
    __table_args__ = (Index("ix_annotation_hits_app_id", "app_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotations.id", ondelete="CASCADE"), index=True
    )
    question: Mapped[str] = mapped_column(Text)
    score: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


class AnnotationImport(Base):
    """A CSV file that was taken in; its rows are stored with it."""

    __tablename__ = "annotation_imports"
    __table_args__ = (Index("ix_annotation_imports_app_id", "app_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    encoding: Mapped[str] = mapped_column(Text)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AnnotationImportRow(Base):
    """One row of the file; `line` is where it begins there, counted from 1."""

    __tablename__ = "annotation_import_rows"

    import_id: Mapped[int] = mapped_column(
        ForeignKey("annotation_imports.id", ondelete="CASCADE"), primary_key=True
    )
    line: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    annotation_id: Mapped[int | None] = mapped_column(
        ForeignKey("annotations.id", ondelete="SET NULL"), index=True
    )
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
