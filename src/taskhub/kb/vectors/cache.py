"""Keep the cache of embeddings from growing for ever."""

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import Session

from taskhub.kb.vectors.models import Embedding


def prune(session: Session, days: int, limit: int = 1000) -> int:
    """Remove up to `limit` embeddings made more than `days` ago, the oldest first; how many went.

    A text that comes again is embedded again; no vector of a segment is touched.
    """
    old = (
        select(Embedding.model, Embedding.sha256)
        .where(Embedding.created_at < func.now() - func.make_interval(0, 0, 0, days))
        .order_by(Embedding.created_at)
        .limit(limit)
        # Somebody who fills the cache has his rows; those can wait for the next night.
        .with_for_update(skip_locked=True)
    )
    doomed = session.execute(old).all()
    if not doomed:
        return 0
    gone = session.execute(
        delete(Embedding)
        .where(tuple_(Embedding.model, Embedding.sha256).in_([tuple(row) for row in doomed]))
        .returning(Embedding.sha256)
    )
    return len(gone.all())


def count_old(session: Session, days: int) -> int:
    """How many embeddings `prune` would remove in all."""
    old = Embedding.created_at < func.now() - func.make_interval(0, 0, 0, days)
    return int(session.scalar(select(func.count()).select_from(Embedding).where(old)) or 0)
