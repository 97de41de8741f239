"""What can be said of one job, and the row that its arguments and options make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from taskhub.queue import sealing, unique
from taskhub.queue.expiry import read_expires
from taskhub.queue.rates import read_tokens
from taskhub.queue.rows import Common, NewJob
from taskhub.queue.storable import (
    MAX_LOCK_BYTES,
    MAX_NAME_BYTES,
    check_at,
    check_delay,
    check_priority,
    check_text,
)
from taskhub.queue.strictness import check_strict

if TYPE_CHECKING:
    from taskhub.queue.task import Task

Writer = Callable[[tuple[Any, ...], Mapping[str, Any]], NewJob]
# Options that may name arguments in braces, in the order of NewJob's fields.
TEMPLATES = ("lock", "queueing_lock", "limit", "fair_key", "unique")


class DeferOptions(TypedDict, total=False):
    """What can be said of one job, over what its task declares.

    Keys:
        queue: at most 40 bytes.
        priority: the higher runs first; 0 if nothing is said.
        lock: jobs with one lock run one at a time; may name arguments, "document:{document_id}".
        strict: the jobs of the lock run in the order of their ids, and one that waits for its time, a
            retry for one, holds up those behind it.
        limit: jobs with one limit run at most `at_most` at once, in the whole fleet; may name arguments.
        at_most: how many, unless `hub.limit(...)` says otherwise for the key; without it only that does.
        tokens: what the job takes of its limit's rate, 1 if nothing is said; a number, or text that names
            arguments and comes to one, "{pages}".
        fair_key: jobs of one queue take turns by it, whoever has deferred more; may name arguments.
        queueing_lock: at most one job with it may wait; another one is refused.
        unique: while a job of the task with this key waits or runs, defer returns it and stores
            nothing; may name arguments. None: not this time.
        unique_until: "ended", or "started": a running job keeps no other one out.
        unique_for: and none within so long of its defer, however it ended: seconds, timedelta or "1h".
        on_conflict: "keep", or "replace": a waiting job gets the new arguments, options and date.
        cache: a job with the same arguments that waits, runs, or succeeded no longer ago than this is
            returned, with its result: "30s", "10m", "1h", "7d", timedelta or seconds.
        delay: seconds or timedelta from now, on the database's clock.
        at: a time with its zone, instead of delay.
        expires: seconds or timedelta from now on the database's clock, or a time with its zone; a job
            that did not start by then ends as cancelled, with the reason "expired".
        session: the SQLAlchemy Session, AsyncSession or Connection whose transaction the job joins.
        connection: or a psycopg connection, sync or async.
        autocommit: the job commits by itself, whatever is open around it.
    """

    queue: str
    priority: int
    lock: str
    strict: bool
    limit: str
    at_most: int
    tokens: int | str
    fair_key: str
    queueing_lock: str
    unique: str | None
    unique_until: unique.Until
    unique_for: unique.Window
    on_conflict: unique.OnConflict
    cache: unique.Window | None
    delay: float | timedelta
    at: datetime
    expires: float | timedelta | datetime
    session: Any
    connection: Any
    autocommit: bool


def row_writer(task: Task[..., Any], options: DeferOptions, queue: str) -> Writer:
    """What makes a row of arguments; whatever all rows have in common is checked here, once."""
    common = _common(task, options, queue)
    parameters, max_bytes = task.parameters, task.hub.settings.max_args_bytes
    templates = [(key, options.get(key)) for key in TEMPLATES]
    is_cached = common.cache_seconds is not None
    tokens = options.get("tokens")
    is_plain = tokens is None and not is_cached and all(one is None for _, one in templates)

    write = partial(sealing.write, task) if parameters.secrets else parameters.write

    def row(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
        text, given = write(args, kwargs, max_bytes)
        if is_plain:
            return NewJob(common, text)
        filled = [
            None
            if template is None
            else check_text(parameters.fill(str(template), given), key, MAX_LOCK_BYTES)
            for key, template in templates
        ]
        lock, queueing_lock, limit, fair, key = filled
        if is_cached:
            key = unique.cache_key(text, parameters.written_defaults)
        needs = read_tokens(parameters.fill(tokens, given)) if isinstance(tokens, str) else tokens
        return NewJob(common, text, lock, queueing_lock, limit, fair, key, needs)

    return row


def _common(task: Task[..., Any], options: DeferOptions, queue: str) -> Common:
    """What the rows of jobs with these options have in common, checked."""
    delay, at = options.get("delay"), options.get("at")
    if delay is not None and at is not None:
        raise TypeError("give delay or at, not both")
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    rule = unique.Uniqueness.of(options).check_history(task.hub.settings.history_days)
    expires_seconds, expires_at = read_expires(options.get("expires"), seconds, at)
    return Common(
        queue_name=check_text(queue, "queue", MAX_NAME_BYTES),
        task_name=task.name,
        priority=check_priority(options.get("priority", 0)),
        delay_seconds=None if seconds is None else check_delay(seconds),
        at=None if at is None else check_at(at),
        at_most=options.get("at_most"),
        unique_running=rule.is_running_too,
        unique_replace=rule.replaces,
        unique_seconds=rule.seconds,
        cache_seconds=rule.cache_seconds,
        is_strict=check_strict(options),
        version=task.stored_version,
        expires_seconds=expires_seconds,
        expires_at=expires_at,
    )
