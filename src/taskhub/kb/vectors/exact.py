"""Vectors as real[], compared by numpy one and all: right anywhere, for some 100,000 of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy
from sqlalchemy import Select, Table, delete, func, select
from sqlalchemy.orm import Session

from taskhub.kb.vectors.binary import Vector, adapt, bigint, copy_rows, integer, real_array
from taskhub.kb.vectors.indexed import copy_in, remove_from
from taskhub.kb.vectors.models import ExactVector
from taskhub.kb.vectors.rows import VectorRow

# 8 MB at 512 numbers: what a search holds in memory, whatever the number of vectors.
CHUNK = 4096


class ExactStore:
    """numpy compares; see Store."""

    name = "exact"

    def put(
        self, session: Session, model: str, rows: Sequence[VectorRow], *, fresh: bool = False
    ) -> None:
        """By COPY; any width will do."""
        if not rows:
            return
        if not fresh:
            segments = sorted({row.segment_id for row in rows})
            session.execute(
                delete(ExactVector).where(
                    ExactVector.segment_id.in_(segments), ExactVector.model == model
                )
            )
        name = model.encode()
        data = copy_rows(
            (
                bigint(r.segment_id),
                integer(r.part),
                name,
                bigint(r.dataset_id),
                real_array(r.vector),
            )
            for r in rows
        )
        copy_in(session, _table(), data)

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
        """Read in chunks of CHUNK, of which the nearest are kept."""
        query = (
            select(ExactVector.segment_id, ExactVector.vector)
            .where(
                ExactVector.dataset_id.in_(list(dataset_ids)),
                ExactVector.model == model,
                func.cardinality(ExactVector.vector) == len(vector),
            )
            .order_by(ExactVector.segment_id, ExactVector.part)
        )
        if segment_ids is not None:
            query = query.where(ExactVector.segment_id.in_(segment_ids))
        best: list[tuple[float, int]] = []
        wanted = vector / numpy.linalg.norm(vector)
        for ids, vectors in _chunks(session, query, values):
            norms = numpy.linalg.norm(vectors, axis=1)
            distances = 1.0 - (vectors @ wanted) / numpy.where(norms == 0, 1, norms)
            nearest = numpy.argsort(distances, kind="stable")[:limit]
            best += [(float(distances[n]), ids[n]) for n in nearest]
            best = sorted(best)[:limit]
        return [(segment_id, distance) for distance, segment_id in best]

    def remove(self, session: Session, dataset_id: int, *, keep: str | None, limit: int) -> int:
        """See Store."""
        return remove_from(session, _table(), dataset_id, keep, limit)

    def count(self, session: Session, dataset_id: int, model: str) -> int:
        """See Store."""
        query = select(func.count()).where(
            ExactVector.dataset_id == dataset_id, ExactVector.model == model
        )
        return session.scalar(query) or 0


def _table() -> Table:
    return cast(Table, ExactVector.__table__)


def _chunks(session: Session, query: Any, values: Mapping[str, Any]) -> Any:
    """Ids and a matrix of vectors, a chunk at a time, through a cursor of the server's."""
    connection = session.connection()
    translated = connection.get_execution_options().get("schema_translate_map")
    compiled: Any = query.compile(
        dialect=connection.dialect,
        schema_translate_map=translated,
        render_schema_translate=bool(translated),
    )
    driver: Any = connection.connection.driver_connection
    adapt(driver)
    with driver.cursor("exact", binary=True) as cursor:
        cursor.itersize = CHUNK
        cursor.execute(*_filled(compiled, values))
        while rows := cursor.fetchmany(CHUNK):
            yield [row[0] for row in rows], numpy.stack([row[1] for row in rows])


def _filled(compiled: Any, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters as the driver takes them, with the lists of IN written out."""
    parameters = compiled.construct_params(dict(values))
    for name, as_sent in compiled._bind_processors.items():  # noqa: SLF001 - as below: metadata becomes JSON
        if name in parameters:
            parameters[name] = as_sent(parameters[name])
    expanded = compiled._process_parameters_for_postcompile(parameters)  # noqa: SLF001 - what an execute does, without its result in text
    return expanded.statement, {**parameters, **expanded.additional_parameters}
