"""Write annotations: what a question and an answer may be is checked here, wherever they come from."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.annotations.models import MAX_ANSWER, MAX_QUESTION, Annotation
from taskhub.kb.apps.models import Message


class BadAnnotation(ValueError):
    """The question or the answer cannot be taken; the message says what it must be."""


class UnknownAnnotation(LookupError):
    """There is no such annotation."""


def check(question: str, answer: str) -> None:
    """Refuse what cannot be an annotation.

    Raises:
        BadAnnotation: one is empty or too long, or holds a NUL.
    """
    for name, text, most in (
        ("question", question, MAX_QUESTION),
        ("answer", answer, MAX_ANSWER),
    ):
        if not text.strip():
            raise BadAnnotation(f"{name} must not be empty")
        if len(text) > most:
            raise BadAnnotation(f"{name} must be at most {most} characters, got {len(text)}")
        if "\0" in text:
            raise BadAnnotation(f"{name} must not contain a NUL character")


def sha256(question: str) -> str:
    """What tells whether a vector was made of this very question."""
    return hashlib.sha256(question.encode()).hexdigest()


def get(session: Session, annotation_id: int) -> Annotation:
    """The annotation of this id.

    Raises:
        UnknownAnnotation: there is none.
    """
    found = session.get(Annotation, annotation_id)
    if found is None:
        raise UnknownAnnotation(
            f"annotation {annotation_id} does not exist; see `taskhub annotation ls`"
        )
    return found


def add(
    session: Session, app_id: int, question: str, answer: str, *, message_id: int | None = None
) -> Annotation:
    """A new annotation, in the caller's transaction; it answers once it has its vector.

    Raises:
        BadAnnotation: as `check`; or the message is another app's.
    """
    check(question, answer)
    if message_id is not None:
        message = session.get(Message, message_id)
        if message is None or message.app_id != app_id:
            raise BadAnnotation(f"message must be one of app {app_id}, got {message_id}")
    made = Annotation(
        app_id=app_id,
        message_id=message_id,
        question=question,
        answer=answer,
        sha256=sha256(question),
    )
    session.add(made)
    session.flush()
    return made


def edit(
    session: Session,
    annotation_id: int,
    *,
    question: str | None = None,
    answer: str | None = None,
    enabled: bool | None = None,
) -> Annotation:
    """Change what is given, in the caller's transaction. An old question answers nothing from then on.

    Raises:
        BadAnnotation: as `check`.
        UnknownAnnotation: there is none.
    """
    found = get(session, annotation_id)
    check(question or found.question, answer or found.answer)
    if question is not None:
        check(question, found.answer)
        found.question = question
        found.sha256 = sha256(question)
        found.index_error = None
    if answer is not None:
        check(found.question, answer)
        found.answer = answer
    if enabled is not None:
        found.enabled = enabled
    found.updated_at = func.now()
    session.flush()
    session.refresh(found)
    return found


def hide(session: Session, app_id: int, annotation_ids: Sequence[int]) -> list[int]:
    """Let these annotations of the app answer nothing from now on; the ids of those there are."""
    found = session.scalars(
        select(Annotation.id)
        .where(Annotation.app_id == app_id, Annotation.id.in_(annotation_ids))
        .order_by(Annotation.id)
        .with_for_update(key_share=True)
    ).all()
    session.execute(update(Annotation).where(Annotation.id.in_(found)).values(enabled=False))
    return list(found)


def page(
    session: Session, app_id: int, *, after_id: int = 0, limit: int = 1000
) -> list[Annotation]:
    """An app's annotations by id, from behind `after_id` on."""
    return list(
        session.scalars(
            select(Annotation)
            .where(Annotation.app_id == app_id, Annotation.id > after_id)
            .order_by(Annotation.id)
            .limit(limit)
        )
    )
