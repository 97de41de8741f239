"""Where vectors are kept and compared: pgvector's index, or every vector where there is none."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Select, Table, delete, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from taskhub.db import KB_SCHEMA
from taskhub.kb.vectors.binary import Vector
from taskhub.kb.vectors.exact import ExactStore
from taskhub.kb.vectors.indexed import IndexedStore
from taskhub.kb.vectors.models import INDEXED, ExactVector
from taskhub.kb.vectors.rows import VectorRow

__all__ = ["Store", "VectorRow", "forget", "store", "tables"]


class Store(Protocol):
    """Keeps vectors; every method works in the caller's transaction."""

    name: str

    def put(
        self, session: Session, model: str, rows: Sequence[VectorRow], *, fresh: bool = False
    ) -> None:
        """Store the vectors; those that the rows' segments had of this model go, unless they are `fresh`.

        Raises:
            UnknownWidth: there is no table for vectors of this width.
        """
        ...

    def nearest(
        self,
        session: Session,
        vector: Vector,
        model: str,
        dataset_ids: Sequence[int],
        limit: int,
        *,
        segment_ids: Select[Any] | None = None,
        values: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[tuple[int, float]]:
        """(segment id, cosine distance) of the nearest parts, the nearest first.

        `segment_ids` names the only segments that may be answered, with the `values` of its
        parameters; then every one is looked at. Otherwise options of an index may be set for the rest
        of the caller's transaction.
        """
        ...

    def remove(self, session: Session, dataset_id: int, *, keep: str | None, limit: int) -> int:
        """Delete up to `limit` vectors of a dataset that are of another model than `keep`; how many."""
        ...

    def count(self, session: Session, dataset_id: int, model: str) -> int:
        """How many vectors of this model a dataset has."""
        ...


_found: WeakKeyDictionary[Engine, Store] = WeakKeyDictionary()


def store(session: Session) -> Store:
    """The store of the session's database: with an index where pgvector's tables were migrated."""
    bind = session.get_bind()
    engine = bind if isinstance(bind, Engine) else bind.engine
    known = _found.get(engine)
    if known is None:
        schema = session.connection().get_execution_options().get("schema_translate_map", {})
        table = f"{schema.get(KB_SCHEMA, KB_SCHEMA)}.vectors_512"
        has_index = session.scalar(select(func.to_regclass(table))) is not None
        known = _found[engine] = IndexedStore() if has_index else ExactStore()
    return known


def tables(session: Session) -> tuple[Table, ...]:
    """The tables of vectors that the session's database has."""
    exact = cast(Table, ExactVector.__table__)
    return (exact,) if store(session).name == "exact" else (*INDEXED.values(), exact)


def forget(session: Session, segment_ids: Sequence[int], *, keep: str | None) -> None:
    """Remove all that segments have of other models than `keep`."""
    for table in tables(session):
        doomed = delete(table).where(table.c.segment_id.in_(list(segment_ids)))
        session.execute(doomed if keep is None else doomed.where(table.c.model != keep))
