"""Remove rows of several kinds in batches of bounded size; a row that cannot go is set aside."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.kinds import Kind

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next batch begins: behind this key of this kind of rows."""

    kind: int = 0
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one batch removed.

    Attributes:
        gone: rows removed, by kind.
        set_aside: kind, key and reason of each row that cannot go.
        following: where the next batch begins; None when all kinds are through.
    """

    gone: dict[str, int]
    set_aside: list[tuple[str, Key, str]] = field(default_factory=list)
    following: Place | None = None


def count(session: Session, kinds: Sequence[Kind]) -> dict[str, int]:
    """How many rows of each kind there are: what a clean-up would remove."""
    counts: dict[str, int] = {}
    for kind in kinds:
        found = session.scalar(select(func.count()).select_from(kind.table).where(kind.belongs))
        counts[kind.name] = counts.get(kind.name, 0) + int(found or 0)
    return counts


def clean_batch(
    session: Session, kinds: Sequence[Kind], limit: int = 500, *, place: Place | None = None
) -> Cleaned:
    """Remove up to `limit` rows of one kind, in the caller's transaction; then commit and go on.

    A row that cannot go is set aside and the batch goes on behind it, so that a run always ends.
    """
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    place = place or Place()
    kind = kinds[place.kind]
    keys = _keys(session, kind, place.after, limit)
    removed, aside = _remove(session, kind, [key[len(kind.ahead) :] for key in keys])
    gone = {kind.name: removed}
    if len(keys) == limit:
        return Cleaned(gone, aside, Place(place.kind, keys[-1]))
    last = place.kind + 1 == len(kinds)
    return Cleaned(gone, aside, None if last else Place(place.kind + 1))


def _keys(session: Session, kind: Kind, after: Key | None, limit: int) -> list[Key]:
    query = select(*kind.keys).where(kind.belongs).order_by(*kind.keys).limit(limit)
    if after is not None:
        query = query.where(tuple_(*kind.keys) > after)
    return [tuple(row) for row in session.execute(query)]


def _remove(
    session: Session, kind: Kind, keys: Sequence[Key]
) -> tuple[int, list[tuple[str, Key, str]]]:
    """How many rows went, and those that stay, with their reasons."""
    if not keys:
        return 0, []
    try:
        return _deleted(session, kind, keys), []
    except DBAPIError as error:
        _pass_on(error)
    # One of them is held fast, by a trigger or a foreign key of somebody else: find out which.
    removed, aside = 0, []
    for key in keys:
        try:
            removed += _deleted(session, kind, [key])
        except DBAPIError as error:
            _pass_on(error)
            aside.append((kind.name, key, str(error.orig).splitlines()[0]))
    return removed, aside


def _pass_on(error: DBAPIError) -> None:
    """A deadlock or a lost connection says nothing about the row; the job tries again."""
    if isinstance(error, OperationalError):
        raise error


def _deleted(session: Session, kind: Kind, keys: Sequence[Key]) -> int:
    """Delete the rows in a savepoint; how many went."""
    columns = kind.primary_key
    wanted = (
        columns[0].in_([key[0] for key in keys])
        if len(columns) == 1
        else tuple_(*columns).in_(keys)
    )
    # What makes it go is looked at again: somebody may have changed the row meanwhile.
    statement = delete(kind.table).where(wanted, kind.belongs).returning(columns[0])
    with session.begin_nested():
        return len(session.execute(statement).all())
