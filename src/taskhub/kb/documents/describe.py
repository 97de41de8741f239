"""Say what a document is about, for searches that are narrowed by it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Text, literal, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document


def describe(session: Session, document_id: int, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a document's metadata, in the caller's transaction; the whole of it as it is then.

    A key that is there gets the new value, and goes if that is None. It counts for searches from
    the commit on; nothing is indexed again.

    Raises:
        UnknownDocument: there is none.
    """
    gone = literal([key for key, value in metadata.items() if value is None], ARRAY(Text))
    told = literal({key: value for key, value in metadata.items() if value is not None}, JSONB)
    # In Postgres minus binds tighter than ||.
    kept = Document.details.op("-", return_type=JSONB())(gone)
    changed: dict[str, Any] | None = session.execute(
        update(Document)
        .where(Document.id == document_id)
        .values({Document.details: kept.concat(told)})
        .returning(Document.details)
    ).scalar_one_or_none()
    if changed is None:
        raise UnknownDocument(f"document {document_id} does not exist")
    return changed
