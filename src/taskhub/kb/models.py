"""Every table of the knowledge base, for who needs the whole of `Base.metadata`."""

from taskhub.accounts.models import Account, Invitation, Member, Tenant
from taskhub.kb.annotations.models import (
    Annotation,
    AnnotationHit,
    AnnotationImport,
    AnnotationImportRow,
    AnnotationSetting,
    AnnotationVector,
)
from taskhub.kb.apps.models import App, AppDatasetJoin, Conversation, Message
from taskhub.kb.cleaning.models import DatasetAutoDisabled
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentBatch, DocumentPart, DocumentState
from taskhub.kb.segments.edits import SegmentEdit, SegmentImport
from taskhub.kb.segments.models import ChildSegment, Segment, SegmentState
from taskhub.kb.vectors.models import Embedding, ExactVector, SegmentRefusal

__all__ = [
    "Account",
    "Annotation",
    "AnnotationHit",
    "AnnotationImport",
    "AnnotationImportRow",
    "AnnotationSetting",
    "AnnotationVector",
    "App",
    "AppDatasetJoin",
    "ChildSegment",
    "Conversation",
    "Dataset",
    "DatasetAutoDisabled",
    "Document",
    "DocumentBatch",
    "DocumentPart",
    "DocumentState",
    "Embedding",
    "ExactVector",
    "Invitation",
    "Member",
    "Message",
    "Segment",
    "SegmentEdit",
    "SegmentImport",
    "SegmentRefusal",
    "SegmentState",
    "Technique",
    "Tenant",
]
