"""Things that tests of the knowledge base need, made in one line."""

import itertools
from typing import Any

from sqlalchemy.orm import Session

from taskhub.accounts.tenants import ensure
from taskhub.kb.annotations import write
from taskhub.kb.apps import create as apps
from taskhub.kb.apps.models import App
from taskhub.kb.datasets.create import create
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents import stages
from taskhub.kb.documents.add import add
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.split import Piece
from taskhub.kb.segments.store import store
from taskhub.kb.vectors.embedders import Embedder, embedder
from taskhub.kb.vectors.index import index

_numbers = itertools.count(1)


def make_dataset(session: Session, **chosen: Any) -> Dataset:
    """A dataset of its own tenant, embedded by the hash of its texts unless told otherwise."""
    number = next(_numbers)
    tenant = ensure(session, f"tenant {number}")
    return create(session, tenant.id, f"dataset {number}", **{"embedding_model": "hash"} | chosen)


def make_indexed(
    session: Session, dataset: Dataset, *texts: str, model: Embedder | None = None
) -> Document:
    """A completed document whose segments are these texts."""
    document = add(session, dataset, name=f"document-{next(_numbers)}.txt", content=b"x")
    stages.start(session, document)
    store(session, document, [Piece(text, len(text) // 4 + 1) for text in texts], 0)
    stages.enter(session, document, DocumentState.INDEXING)
    if model is None and dataset.technique is Technique.HIGH_QUALITY:
        model = embedder(dataset.embedding_model)
    index(session, document.id, model, limit=1000)
    session.refresh(document)
    stages.complete(session, document)
    session.refresh(document)
    return document


def make_app(session: Session, *, annotations: int = 0, messages: int = 0) -> App:
    """An app of its own tenant, with so many annotations and messages."""
    number = next(_numbers)
    app = apps.create(session, ensure(session, f"tenant {number}").id, f"app {number}")
    for n in range(annotations):
        write.add(session, app.id, f"question {n} of app {number}", f"answer {n}")
    for n in range(messages):
        apps.record(session, app.id, f"question {n}", f"answer {n}")
    return app
