"""By which rule a document is cleaned and cut."""

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.rules import ProcessRule
from taskhub.settings.knowledge import KnowledgeSettings


def rule_of(dataset: Dataset, document: Document) -> ProcessRule:
    """The document's own rule, else its dataset's."""
    own = document.process_rule
    return ProcessRule.of(dataset.process_rule if own is None else own)


def default_rule(settings: KnowledgeSettings) -> ProcessRule:
    """What a dataset gets that is made without another wish."""
    return ProcessRule(
        tokens=settings.segment_tokens, overlap_tokens=settings.segment_overlap_tokens
    )
