"""Why a job is where it is: one sentence, and the facts that prove it.

Every reason is one check, a function of a Look. A new way to wait needs a new check here, in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskhub.queue.jobs import UnknownJob
from taskhub.queue.why import ended, held, limits, locks, ready, running
from taskhub.queue.why.look import Look, Reason, looking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# The first that finds something makes the sentence, the others are told behind it.
CHECKS = (
    ended.succeeded,
    ended.failed,
    ended.expired,
    ended.cancelled,
    ended.aborted,
    running.running,
    running.worker_lost,
    running.overdue,
    running.asked_to_stop,
    held.past_expiry,
    held.scheduled,
    locks.locked,
    locks.strict_order,
    limits.limit_paused,
    limits.breaker_open,
    limits.limited,
    limits.lowered_by_feedback,
    limits.out_of_tokens,
    limits.limit_has_room,
    held.task_unknown,
    held.version_too_new,
    held.set_aside,
    held.fair_turn,
    held.gate_of_a_newer_version,
    ready.queue_paused,
    ready.task_paused,
    ready.queue_limited,
    ready.task_limited,
    ready.no_worker,
    ready.only_draining,
    ready.task_not_known,
    ready.suspect,
    ready.row_locked,
    ready.suspect_first,
    ready.behind_others,
    ready.about_to_start,
    held.expires,
)


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job is where it is; the first reason is the main one."""

    job_id: int
    status: str
    reasons: tuple[Reason, ...]

    @property
    def sentence(self) -> str:
        """All reasons in one sentence."""
        first, *others = (reason.clause for reason in self.reasons)
        return "; it also ".join([f"job {self.job_id} {first}", *others])


def explain(hub: Hub, job_id: int) -> Why:
    """Why a job waits, runs or has ended, at this moment; never without a reason.

    Reads on a connection of its own, by indexes alone, and counts no further than ten thousand.

    Raises:
        UnknownJob: there is none of this id; the message says what may have become of it.
    """
    with looking(hub, job_id, CHECKS) as look:
        if look.found is None:
            raise UnknownJob(_unknown(look))
        return Why(job_id, look.job["status"], tuple(look.reasons()))


def _unknown(look: Look) -> str:
    [ids] = look.rows("why_unknown")
    days = look.hub.settings.history_days
    if look.job_id > ids["highest_given"]:
        return f"no job {look.job_id}; the highest id that was ever given is {ids['highest_given']}"
    if ids["lowest_kept"] is None or look.job_id < ids["lowest_kept"]:
        return (
            f"no job {look.job_id}; its history is past its {days:g} days and was pruned, or its "
            "transaction never committed"
        )
    return (
        f"no job {look.job_id}; its transaction has not committed yet or was rolled back, or its history "
        f"is past its {days:g} days"
    )
