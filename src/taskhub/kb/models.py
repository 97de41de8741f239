"""Every table of the knowledge base, for who needs the whole of `Base.metadata`."""

from taskhub.accounts.models import Account, Invitation, Member, Tenant
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentPart, DocumentState
from taskhub.kb.segments.models import ChildSegment, Segment, SegmentState
from taskhub.kb.vectors.models import Embedding, SegmentVector512

__all__ = [
    "Account",
    "ChildSegment",
    "Dataset",
    "Document",
    "DocumentPart",
    "DocumentState",
    "Embedding",
    "Invitation",
    "Member",
    "Segment",
    "SegmentState",
    "SegmentVector512",
    "Technique",
    "Tenant",
]
