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
    """Messages, empty conversations and hits from before then, oldest first."""
    hits, messages = table("annotation_hits"), table("messages")
    conversations = table("conversations")
    is_empty = ~exists().where(messages.c.conversation_id == conversations.c.id)
    return [
        Kind("annotation_hits", hits, hits.c.created_at < before, (hits.c.created_at,)),
        Kind("messages", messages, messages.c.created_at < before, (messages.c.created_at,)),
        Kind("conversations", conversations, (conversations.c.created_at < before) & is_empty),
    ]


def finished_imports(before: datetime) -> list[Kind]:
    """Imports of annotations and of segments from before then of which no row waits, and their rows."""
    imports, rows = table("annotation_imports"), table("annotation_import_rows")
    is_over = imports.c.finished_at < before
    sheets, edits = table("segment_imports"), table("segment_edits")
    waits = exists().where(edits.c.import_id == sheets.c.id, edits.c.error.is_(None))
    is_done = (sheets.c.created_at < before) & ~waits
    return [
        Kind(
            "annotation_import_rows",
            rows,
            rows.c.import_id.in_(select(imports.c.id).where(is_over)),
        ),
        Kind("annotation_imports", imports, is_over),
        # Only the lines that could not be used are left of those.
        Kind("segment_edits", edits, edits.c.import_id.in_(select(sheets.c.id).where(is_done))),
        Kind("segment_imports", sheets, is_done, (sheets.c.id,)),
    ]
