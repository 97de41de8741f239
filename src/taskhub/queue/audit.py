"""Who changed what and why: one row for each change that a person asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from taskhub.queue import sql
from taskhub.queue.attempts import storable

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

Source = Literal["cli", "dashboard", "api"]
Outcome = Literal["done", "partly", "failed"]
MAX_TEXT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One change.

    Attributes:
        actor: who asked for it: a user of the system for the command line, of the dashboard there.
        action: the verb, as the command line has it: "retry-failed", "cron pause".
        target: what it was about, as JSON: ids, a filter, a queue's name.
        matched, changed: how many it was about, and how many it changed; None where it counts nothing.
        outcome: "partly" where some could not be changed; `error` says what went wrong.
    """

    id: int
    at: datetime
    actor: str
    source: str
    action: str
    target: dict[str, Any]
    reason: str | None
    matched: int | None
    changed: int | None
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, from where, and why."""

    actor: str
    source: Source
    reason: str | None = None


@dataclass(slots=True)
class Entry:
    """What a change that is on its way has come to; it is stored when it ends, however it does."""

    matched: int | None = None
    changed: int | None = None
    outcome: Outcome = "done"
    error: str | None = None


@contextmanager
def entry(
    hub: Hub, by: By | None, action: str, target: Mapping[str, Any], matched: int | None = None
) -> Iterator[Entry]:
    """A row for a change in many transactions: there before the first, amended after the last.

    Breaks the process off in between, the row stays and says so. Nothing is noted where nobody is named.
    """
    made = Entry(matched)
    if by is None:
        yield made
        return
    row_id = record(
        hub, actor=by.actor, source=by.source, action=action, target=target, reason=by.reason,
        matched=matched, outcome="partly", error="it was not seen to end",
    )  # fmt: skip
    try:
        yield made
    except BaseException as error:
        made.outcome = "partly" if made.changed else "failed"
        made.error = f"{type(error).__name__}: {error}".rstrip(": ")
        raise
    finally:
        hub.write(
            "amend_audit", id=row_id, matched=made.matched, changed=made.changed,
            outcome=made.outcome, error=_text(made.error) if made.error else None,
        )  # fmt: skip


def record(
    hub: Hub,
    *,
    actor: str,
    source: Source,
    action: str,
    target: Mapping[str, Any],
    reason: str | None = None,
    matched: int | None = None,
    changed: int | None = None,
    outcome: Outcome = "done",
    error: str | None = None,
    within: Session | Connection | None = None,
) -> int:
    """Note a change, in the transaction of `within`, else in one of its own; the row's id.

    Whoever changes the database in one transaction gives that as `within`: then the change and its
    row are there both or not at all. Texts end after 2000 characters.

    Raises:
        ValueError: actor or action is empty, or source or outcome is none of those known.
    """
    _check(actor, source, action, outcome)
    given = {
        "actor": _text(actor),
        "source": source,
        "action": _text(action),
        "target": json.dumps(_json(target)),
        "reason": _text(reason) if reason else None,
        "matched": matched,
        "changed": changed,
        "outcome": outcome,
        "error": _text(error) if error else None,
    }
    if within is None:
        [row] = hub.write("record_audit", **given)
        return int(row["id"])
    connection = within.connection() if isinstance(within, Session) else within
    query = sql.load("record_audit", hub.settings.schema)
    return int(connection.exec_driver_sql(query, given).scalar_one())


def _check(actor: str, source: str, action: str, outcome: str) -> None:
    for name, value in (("actor", actor), ("action", action)):
        if not value.strip():
            raise ValueError(f"{name} must be somebody or something, got {value!r}")
    for name, value, known in (
        ("source", source, get_args(Source)),
        ("outcome", outcome, get_args(Outcome)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _text(value: str) -> str:
    return storable(value)[:MAX_TEXT]


def _json(value: Any) -> Any:
    """What jsonb can hold: a row of the audit must not be lost for a character or a date."""
    if isinstance(value, Mapping):
        return {storable(str(name)): _json(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(part) for part in value]
    if value is None or isinstance(value, bool | int):
        return value
    return storable(str(value))
