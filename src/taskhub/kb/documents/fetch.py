"""The stored file of a document, written where a reader can seek in it."""

from typing import BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import DocumentPart


def fetch(session: Session, document_id: int, into: BinaryIO) -> int:
    """Write the document's bytes to `into` part by part and rewind it; how many there were."""
    written = 0
    number = 0
    while True:
        part = session.scalar(
            select(DocumentPart.content).where(
                DocumentPart.document_id == document_id, DocumentPart.number == number
            )
        )
        if part is None:
            into.seek(0)
            return written
        written += into.write(part)
        number += 1
