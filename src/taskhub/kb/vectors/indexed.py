"""Vectors in pgvector's tables, one for each width, found through an HNSW index."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    delete,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from taskhub.kb.vectors.binary import Vector, bigint, copy_rows, half, integer, single
from taskhub.kb.vectors.models import INDEXED, WIDEST_SINGLE
from taskhub.kb.vectors.rows import UnknownWidth, VectorRow

# How many of the index's nodes are kept in sight: recall@10 of 100,000 made-up vectors is 0.98
# at 100 and 0.99 at 128, for 0.1 ms more (2026-11). The index allows 1,000.
SIGHT = 128
MOST_SIGHT = 1_000

# Datasets with so many numbers in their vectors, 20,000 of width 512, are compared one by one, in up to
# 40 ms. Of the index they are a part so small that it gives up before it has met their nearest: of
# 100,000 made-up vectors recall@10 was 0.83 in a dataset of 15 %, 0.72 of 10 %, 0.58 of 5 % (2026-12).
COMPARED_NUMBERS = 20_000 * 512

COLUMNS = ("segment_id", "part", "model", "dataset_id", "vector")


class IndexedStore:
    """Postgres compares; see Store."""

    name = "pgvector"

    def put(
        self, session: Session, model: str, rows: Sequence[VectorRow], *, fresh: bool = False
    ) -> None:
        """By COPY: a statement a row would cost more than the index does."""
        if not rows:
            return
        width = len(rows[0].vector)
        table = _table(width)
        if not fresh:
            segments = sorted({row.segment_id for row in rows})
            session.execute(
                delete(table).where(table.c.segment_id.in_(segments), table.c.model == model)
            )
        as_bytes = single if width <= WIDEST_SINGLE else half
        name = model.encode()
        data = copy_rows(
            (
                bigint(r.segment_id), integer(r.part), name, bigint(r.dataset_id), as_bytes(r.vector),
            )
            for r in rows
        )  # fmt: skip
        copy_in(session, table, data)

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
        """Through the index, or past it where the datasets or `segment_ids` leave few."""
        table = _table(len(vector))
        distance = table.c.vector.cosine_distance(vector.tolist())
        own = table.c.dataset_id.in_(list(dataset_ids)), table.c.model == model
        query = select(table.c.segment_id, distance.label("distance")).where(*own)
        if segment_ids is not None:
            query = query.where(table.c.segment_id.in_(segment_ids))
        if segment_ids is None and _are_many(session, table, own, len(vector)):
            # Without it the index gives its nearest 40 and the filters may leave none of them.
            session.execute(
                select(
                    func.set_config("hnsw.iterative_scan", "strict_order", True),
                    func.set_config("hnsw.ef_search", str(_sight(limit)), True),
                )
            )
            query = query.order_by(distance)
        else:
            # With + 0 no index fits, and all of the few are compared. Equal ones have one order.
            query = query.order_by(distance + 0, table.c.segment_id)
        rows = session.execute(query.limit(limit), dict(values))
        return [(row.segment_id, float(row.distance)) for row in rows]

    def remove(self, session: Session, dataset_id: int, *, keep: str | None, limit: int) -> int:
        """From one table after the other."""
        gone = 0
        for table in INDEXED.values():
            if gone < limit:
                gone += remove_from(session, table, dataset_id, keep, limit - gone)
        return gone

    def count(self, session: Session, dataset_id: int, model: str) -> int:
        """In all tables: a model has one width, but which is not known here."""
        parts = [
            select(func.count()).where(table.c.dataset_id == dataset_id, table.c.model == model)
            for table in INDEXED.values()
        ]
        return sum(session.scalars(union_all(*parts)))


def copy_in(session: Session, table: Table, data: bytes) -> None:
    """COPY rows of COLUMNS into the table, in the session's transaction."""
    connection = session.connection()
    name = connection.dialect.identifier_preparer.format_table(
        table, name=table.name, use_schema=False
    )
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    schema = translated.get(table.schema, table.schema)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        statement = f"COPY {schema}.{name} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
        with cursor.copy(statement) as copy:
            copy.write(data)


def remove_from(
    session: Session, table: Table, dataset_id: int, keep: str | None, limit: int
) -> int:
    """Delete up to `limit` of a dataset's rows that are not of the model to keep; how many."""
    key = (table.c.segment_id, table.c.part, table.c.model)
    doomed = select(*key).where(table.c.dataset_id == dataset_id).limit(limit)
    if keep is not None:
        doomed = doomed.where(table.c.model != keep)
    gone = session.execute(delete(table).where(tuple_(*key).in_(doomed)).returning(table.c.part))
    return len(gone.all())


def _table(width: int) -> Table:
    if width not in INDEXED:
        known = ", ".join(map(str, INDEXED))
        raise UnknownWidth(f"vectors must have a width of {known}, got {width}")
    return INDEXED[width]


def _are_many(
    session: Session, table: Table, own: Sequence[ColumnElement[bool]], width: int
) -> bool:
    most = COMPARED_NUMBERS // width
    some = select(literal(1)).select_from(table).where(*own).limit(most + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) > most


def _sight(limit: int) -> int:
    return min(max(SIGHT, limit), MOST_SIGHT)
