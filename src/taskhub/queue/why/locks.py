"""Why a job waits behind its lock: who has it, or what its strict order waits for."""

from __future__ import annotations

from typing import Any

from taskhub.queue.why.look import LOCK, MOST, Look, Reason
from taskhub.queue.why.words import NEXT_ROUND, counted, moment


def locked(look: Look) -> Reason | None:
    """It is behind its lock, which another job has, or for which another one goes first."""
    if not look.is_at(LOCK):
        return None
    row, lock = look.lock, repr(look.job["lock"])
    facts = _facts(look)
    if row["holder_id"] is not None:
        held = f"waits for lock {lock}, held by {look.other(row['holder_id'], facts)}"
        return Reason("locked", held + _before(look), facts)
    if row["early_id"] is not None:
        return None
    if row["first_id"] in (None, look.job_id):
        return Reason(
            "locked", f"is the first behind lock {lock}, which is free: {NEXT_ROUND}", facts
        )
    return Reason(
        "locked",
        f"waits behind lock {lock}, which is free, for job {row['first_id']} to go first{_before(look)}",
        facts,
    )


def strict_order(look: Look) -> Reason | None:
    """A strict job of its lock with a lower id waits for its time, and keeps its place."""
    if not look.is_at(LOCK) or look.lock["early_id"] is None:
        return None
    row = look.lock
    facts = {**_facts(look), "early_id": row["early_id"], "early_at": row["early_at"]}
    told = f"waits in the strict order of lock {look.job['lock']!r} for "
    told += look.other(row["early_id"], facts, "early")
    if look.is_deep and row["early_at"] is not None:
        told += f", whose time is {moment(row['early_at'], look.job['now'])}"
    before = _before(look) if row["holder_id"] is None else ""
    return Reason("strict_order", told + before, facts)


def _facts(look: Look) -> dict[str, Any]:
    row = look.lock
    return {
        "lock": look.job["lock"],
        "is_strict": look.job["is_strict"],
        "holder_id": row["holder_id"],
        "jobs_before": row["ahead"],
    }


def _before(look: Look) -> str:
    ahead = look.lock["ahead"]
    return f"; {counted(ahead, 'job', most=MOST)} behind that lock go first" if ahead else ""
