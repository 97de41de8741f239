"""Every table of the knowledge base, for who needs the whole of `Base.metadata`."""

from taskhub.accounts.models import Tenant
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentBatch, DocumentPart, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors.models import Embedding, ExactVector

__all__ = [
    "Dataset",
    "Document",
    "DocumentBatch",
    "DocumentPart",
    "DocumentState",
    "Embedding",
    "ExactVector",
    "Segment",
    "SegmentState",
    "Technique",
    "Tenant",
]
