"""Which rows belong to a dataset, a document or an app: read from the tables' own foreign keys.

A table whose foreign key to its owner says ON DELETE CASCADE is cleaned with it, with no line here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, ForeignKey, Table, or_, select

import taskhub.kb.models  # noqa: F401 - every table must be known before one is asked who owns it
from taskhub.db import KB_SCHEMA, Base

SHORT = {"document_parts": "parts"}


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of one table that go.

    Attributes:
        name: for people; several tables of vectors are one kind.
        belongs: which rows go.
        ahead: what the rows are ordered by before their primary key, where an index holds it.
    """

    name: str
    table: Table
    belongs: ColumnElement[bool]
    ahead: tuple[Column[Any], ...] = ()

    @property
    def primary_key(self) -> tuple[Column[Any], ...]:
        """The columns that tell a row."""
        return tuple(self.table.primary_key.columns)

    @property
    def keys(self) -> tuple[Column[Any], ...]:
        """The columns that the rows are walked by."""
        return (*self.ahead, *self.primary_key)


def table(name: str) -> Table:
    """The knowledge base's table of this name."""
    return Base.metadata.tables[f"{KB_SCHEMA}.{name}"]


def owned(root: Table, ids: Sequence[int]) -> list[Kind]:
    """The root's rows and all that they own, from the leaves to the root.

    In this order no batch sets off a large cascade.
    """
    belongs: dict[Table, ColumnElement[bool]] = {root: root.c.id.in_(ids)}
    order = [root]
    for child in Base.metadata.sorted_tables:  # owners come before what they own
        if child is not root and (found := _belongs(child, root, ids, belongs)) is not None:
            belongs[child] = found
            order.append(child)
    return [Kind(_name(each), each, belongs[each]) for each in reversed(order)]


def cascades(child: Table) -> list[ForeignKey]:
    """The foreign keys by which a row of `child` goes with its owner."""
    found = [
        key
        for key in child.foreign_keys
        if key.ondelete == "CASCADE" and len(key.constraint.elements) == 1  # type: ignore[union-attr]  # a key of a table has one
    ]
    return sorted(found, key=lambda key: str(key.parent.name))


def _belongs(
    child: Table, root: Table, ids: Sequence[int], known: dict[Table, ColumnElement[bool]]
) -> ColumnElement[bool] | None:
    ways = [key for key in cascades(child) if key.column.table in known]
    for key in ways:
        if key.column.table is root and not key.parent.nullable:
            return key.parent.in_(ids)
    through: list[ColumnElement[bool]] = [
        key.parent.in_(select(key.column).where(known[key.column.table])) for key in ways
    ]
    whole = [way for way, key in zip(through, ways, strict=True) if not key.parent.nullable]
    if whole:
        return whole[0]
    return or_(*through) if through else None


def _name(each: Table) -> str:
    return "vectors" if each.name.startswith("segment_vectors") else SHORT.get(each.name, each.name)
