"""Why a job waits behind its limit: a pause, a breaker, slots that others have, tokens that are not there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from taskhub.queue.why.held import paused
from taskhub.queue.why.look import LIMIT, MOST, Look, Reason
from taskhub.queue.why.words import (
    NEXT_ROUND,
    amount,
    counted,
    listed,
    moment,
    pace,
    quoted,
)


def limit_paused(look: Look) -> Reason | None:
    """Somebody paused its key."""
    if not look.is_at(LIMIT) or look.limit["paused_at"] is None:
        return None
    return paused("limit_paused", _name(look), look.limit, look.job)


def breaker_open(look: Look) -> Reason | None:
    """Jobs of its key failed one after the other: none starts, or one that tries."""
    if not _is_on(look) or look.limit["opened_at"] is None:
        return None
    row, now = look.limit, look.job["now"]
    names = ("opened_at", "open_until", "open_reason", "opens", "probe_id")
    facts: dict[str, Any] = {"limit": look.job["limit_key"], **{name: row[name] for name in names}}
    told = f"waits for the breaker of {_name(look)}, open since {moment(row['opened_at'], now)}"
    if row["open_until"] > now:
        told += f" until {moment(row['open_until'], now)}{quoted(row['open_reason'])}"
    elif row["probe_id"] not in (None, look.job_id):
        told += f"{quoted(row['open_reason'])}, to be tried by {look.other(row['probe_id'], facts, 'probe')}"
    else:
        first = "it" if row["first_id"] in (None, look.job_id) else f"job {row['first_id']}"
        told += (
            f"{quoted(row['open_reason'])}: at the next round of a worker {first} goes to try it"
        )
    return Reason("breaker_open", told + _before(look), facts)


def limited(look: Look) -> Reason | None:
    """As many jobs of its key as may are ready or run."""
    if not _is_on(look) or look.limit["opened_at"] is not None or not _is_full(look):
        return None
    row = look.limit
    ids = [holder["id"] for holder in row["holders"]]
    told = f"waits for {_name(look)}, {_number(look)}: taken by "
    told += f"{'job' if row['taken'] == 1 else 'jobs'} {listed(ids, row['taken'])}"
    if row["taken_by_ready"]:
        told += f", {row['taken_by_ready']} of them ready and not running yet"
    return Reason("limited", told + _before(look), _facts(look))


def lowered_by_feedback(look: Look) -> Reason | None:
    """A 429 lowered how many jobs of its key may run, for a while."""
    if not _is_on(look) or not _is_full(look) or not _is_lowered(look):
        return None
    row = look.limit
    most = _declared(look) or row["slots_at_most"]
    halved = f" at {moment(row['halved_at'], look.job['now'])}" if row["halved_at"] else ""
    return Reason(
        "lowered_by_feedback",
        f"waits for the number of {_name(look)} to rise: a 429{halved} lowered it from {most}, it is "
        f"{row['slots']} now, and a round of successes raises it by one",
        {"slots": row["slots"], "at_most": most, "halved_at": row["halved_at"]},
    )


def out_of_tokens(look: Look) -> Reason | None:
    """The bucket of its key has not yet the tokens for it and those before it."""
    row = look.limit if _is_on(look) else None
    if row is None or row["opened_at"] is not None or row["rate"] is None:
        return None
    needs, left = look.job["tokens"], row["tokens_left"]
    missing = row["tokens_ahead"] + min(needs, row["burst"]) - left
    if missing <= 0:
        return None
    seconds = missing / row["rate"]
    told = f"waits for tokens of {_name(look)}: it needs {amount(needs)}, "
    told += f"{amount(left)} of {amount(row['burst'])} left"
    if row["promised"]:
        told += (
            f", {amount(row['promised'])} are promised to jobs that are ready and have not started"
        )
    if row["ahead"]:
        told += f"; {counted(row['ahead'], 'job', most=MOST)} behind that limit go first, job "
        told += f"{row['first_id']} next with {amount(row['first_tokens'])}"
    at = look.job["now"] + timedelta(seconds=min(seconds, 10**9))
    # Nobody knows when a ready job is taken, and what is not counted comes on top.
    when = "enough not before" if row["promised"] or row["ahead"] > MOST else "enough at"
    told += f"; {when} {moment(at, look.job['now'])}, at {pace(row['rate'], 'tokens')}"
    facts = {
        "limit": look.job["limit_key"],
        "tokens_needed": needs,
        "tokens_left": left,
        "tokens_promised": row["promised"],
        "tokens_before": row["tokens_ahead"],
        "jobs_before": row["ahead"],
        "first_id": row["first_id"],
        "tokens_per_second": row["rate"],
        "burst": row["burst"],
        "enough_at": at,
    }
    return Reason("out_of_tokens", told, facts)


def limit_has_room(look: Look) -> Reason | None:
    """Nothing of its key is in its way."""
    others = (limit_paused, breaker_open, limited, out_of_tokens)
    if not look.is_at(LIMIT) or any(check(look) is not None for check in others):
        return None
    ahead = look.limit["ahead"]
    first = f", behind {counted(ahead, 'job', most=MOST)}" if ahead else ""
    told = f"waits behind {_name(look)}{first}, which has room: {NEXT_ROUND}"
    return Reason("limited", told, _facts(look))


def _name(look: Look) -> str:
    return f"limit {look.job['limit_key']!r}"


def _is_on(look: Look) -> bool:
    """Whether the job waits at its limit and nobody has paused that."""
    return look.is_at(LIMIT) and look.limit["paused_at"] is None


def _declared(look: Look) -> int | None:
    """How many at once by the key's rule, else by the first job that waits there."""
    row = look.limit
    said: tuple[int | None, ...] = (row["ruled"], row["first_at_most"], look.job["at_most"])
    return next((at_most for at_most in said if at_most is not None), None)


def _is_lowered(look: Look) -> bool:
    slots, declared = look.limit["slots"], _declared(look)
    return slots is not None and (declared is None or slots < declared)


def _at_most(look: Look) -> int | None:
    slots: int | None = look.limit["slots"]
    return slots if _is_lowered(look) else _declared(look)


def _is_full(look: Look) -> bool:
    at_most = _at_most(look)
    return at_most is not None and look.limit["taken"] >= at_most


def _number(look: Look) -> str:
    ruled, by_task = look.limit["ruled"], look.job["at_most"]
    told = f"{_at_most(look)} at once"
    if _is_lowered(look):
        return f"{told} for now"
    if ruled is not None and by_task not in (None, ruled):
        told += f" by its rule, {by_task} by its task"
    return told


def _before(look: Look) -> str:
    ahead = look.limit["ahead"]
    return f"; {counted(ahead, 'job', most=MOST)} behind that limit go first" if ahead else ""


def _facts(look: Look) -> dict[str, Any]:
    job, row = look.job, look.limit
    return {
        "limit": job["limit_key"],
        "at_most": _at_most(look),
        "declared_at_most": job["at_most"],
        "taken": row["taken"],
        "holders": row["holders"] or [],
        "jobs_before": row["ahead"],
    }
