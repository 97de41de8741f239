"""Every table of the knowledge base, for who needs the whole of `Base.metadata`."""

from taskhub.accounts.models import Tenant
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentPart, DocumentState
from taskhub.kb.segments.edits import SegmentEdit, SegmentImport
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors.models import Embedding, SegmentVector512

__all__ = [
    "Dataset",
    "Document",
    "DocumentPart",
    "DocumentState",
    "Embedding",
    "Segment",
    "SegmentEdit",
    "SegmentImport",
    "SegmentState",
    "SegmentVector512",
    "Technique",
    "Tenant",
]
