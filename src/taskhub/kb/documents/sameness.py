"""Whether a document is indexed as it would be again: then nothing is done, and nothing embedded."""

import json

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents import stages
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.segments.rules import ProcessRule

# Raise it when the same bytes would come out as other text or other segments than before.
READER = 1


def way(dataset: Dataset, document: Document) -> str:
    """All that decides, beside the text, what a document's segments and vectors are."""
    rule = rule_of(dataset, document)
    return way_of(dataset.technique, dataset.embedding_model, document.format or "", rule)


def way_of(technique: Technique, embedding_model: str, kind: str, rule: ProcessRule) -> str:
    """As `way`, of what a document and its dataset say."""
    model = "words" if technique is Technique.ECONOMY else embedding_model
    written = json.dumps(rule.stored(), sort_keys=True)
    return f"reader {READER}, {kind}, {written}, {model}"


def is_current(dataset: Dataset, document: Document) -> bool:
    """Whether its segments are whole and were made of this very file in this very way."""
    return (
        document.state is DocumentState.COMPLETED
        and document.error is None
        and document.indexed_sha256 is not None
        and document.indexed_sha256 == document.sha256
        and document.indexed_as == way(dataset, document)
    )


def remember(session: Session, document: Document) -> None:
    """Note what the finished segments were made of."""
    dataset = session.get_one(Dataset, document.dataset_id)
    document.indexed_sha256 = document.sha256
    document.indexed_as = way(dataset, document)


def forget(document: Document) -> None:
    """From now on its segments are no longer those of any text."""
    document.indexed_sha256 = document.indexed_as = document.text_sha256 = None


def keep_segments(session: Session, document: Document, text_sha256: str) -> bool:
    """Go straight on to indexing if other bytes held the same text; False if it must be cut.

    The segments and vectors stay; those that were left out are tried again.
    """
    dataset = session.get_one(Dataset, document.dataset_id)
    if document.text_sha256 != text_sha256 or document.indexed_as != way(dataset, document):
        return False
    total, done, tokens = session.execute(
        select(
            func.count(),
            func.count().filter(Segment.state == SegmentState.COMPLETED),
            func.coalesce(func.sum(Segment.tokens), 0),
        ).where(Segment.document_id == document.id)
    ).one()
    document.segments_total, document.segments_done, document.tokens = total, done, tokens
    stages.pass_through(session, document)
    stages.enter(session, document, DocumentState.INDEXING)
    return True
