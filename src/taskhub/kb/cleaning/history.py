"""What was said and answered, older than somebody wants to keep."""

from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.kinds import Kind, table


def cutoff(session: Session, days: int) -> datetime:
    """So many days ago, on the database's clock."""
    before: datetime = session.execute(
        select(func.now() - func.make_interval(0, 0, 0, days))
    ).scalar_one()
    return before


def older(before: datetime) -> list[Kind]:
    """Messages, empty conversations, hits and imports from before then, oldest first."""
    hits, messages = table("annotation_hits"), table("messages")
    conversations = table("conversations")
    imports, rows = table("annotation_imports"), table("annotation_import_rows")
    old_imports = imports.c.created_at < before
    is_empty = ~exists().where(messages.c.conversation_id == conversations.c.id)
    return [
        Kind("annotation_hits", hits, hits.c.created_at < before, (hits.c.created_at,)),
        Kind("messages", messages, messages.c.created_at < before, (messages.c.created_at,)),
        Kind("conversations", conversations, (conversations.c.created_at < before) & is_empty),
        Kind(
            "annotation_import_rows",
            rows,
            rows.c.import_id.in_(select(imports.c.id).where(old_imports)),
        ),
        Kind("annotation_imports", imports, old_imports, (imports.c.created_at,)),
    ]
