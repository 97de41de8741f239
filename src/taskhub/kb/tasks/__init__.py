"""THE PIPELINE: every background task of the knowledge base, a family's share a file."""

import taskhub.kb.models  # noqa: F401 - a flush needs every model that a foreign key names
from taskhub.kb.tasks import (
    annotations,
    cleaning,
    documents,
    embedding,
    indexing,
    replacing,
    segments,
    vectors,
)
from taskhub.kb.tasks.blueprint import kb

__all__ = [
    "annotations",
    "cleaning",
    "documents",
    "embedding",
    "indexing",
    "kb",
    "replacing",
    "segments",
    "vectors",
]
