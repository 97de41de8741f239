"""Make an app, find it, say what it searches and what was said with it."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.apps.models import App, AppDatasetJoin, Conversation, Message


class AppExists(ValueError):
    """The tenant has an app of this name."""


class UnknownApp(LookupError):
    """There is no such app, or it is being deleted."""


class UnknownConversation(LookupError):
    """The app has no such conversation."""


def create(session: Session, tenant_id: int, name: str) -> App:
    """A new app, in the caller's transaction.

    Raises:
        AppExists: the name is taken.
        ValueError: the name is empty.
    """
    if not name.strip():
        raise ValueError(f"app name must not be empty, got {name!r}")
    made = session.scalars(
        insert(App)
        .values(tenant_id=tenant_id, name=name)
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
        .returning(App)
    ).one_or_none()
    if made is None:
        raise AppExists(f"app {name!r} exists; choose another name or delete it first")
    return made


def find(session: Session, tenant_id: int, name: str) -> App | None:
    """The tenant's app of this name, unless it is being deleted."""
    return session.scalars(
        select(App).where(App.tenant_id == tenant_id, App.name == name, App.deleted_at.is_(None))
    ).one_or_none()


def get(session: Session, app_id: int) -> App:
    """The app of this id.

    Raises:
        UnknownApp: there is none, or it is being deleted.
    """
    app = session.get(App, app_id)
    if app is None or app.deleted_at is not None:
        raise UnknownApp(f"app {app_id} does not exist; see `taskhub app ls`")
    return app


def join(session: Session, app_id: int, dataset_ids: Iterable[int]) -> None:
    """Let the app search these datasets too, in the caller's transaction."""
    rows = [{"app_id": app_id, "dataset_id": dataset_id} for dataset_id in dataset_ids]
    if rows:
        session.execute(insert(AppDatasetJoin).values(rows).on_conflict_do_nothing())


def record(
    session: Session, app_id: int, question: str, answer: str, conversation_id: int | None = None
) -> Message:
    """Keep what was asked and answered, in a new conversation unless one is named.

    Raises:
        UnknownConversation: the app has none of this id.
    """
    if conversation_id is None:
        conversation = Conversation(app_id=app_id)
        session.add(conversation)
        session.flush()
    else:
        found = session.get(Conversation, conversation_id)
        if found is None or found.app_id != app_id:
            raise UnknownConversation(f"app {app_id} has no conversation {conversation_id}")
        conversation = found
    message = Message(
        app_id=app_id, conversation_id=conversation.id, question=question, answer=answer
    )
    session.add(message)
    session.flush()
    return message
