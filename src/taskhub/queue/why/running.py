"""Why a job runs, or seems to: where, since when, and what becomes of it if its worker is gone."""

from __future__ import annotations

from typing import Any

from taskhub.queue.why.look import Look, Reason
from taskhub.queue.why.words import counted, moment, quoted, span

# "aborting" is procrastinate's word of old for a job that was asked to stop.
RUNNING = ("doing", "aborting")


def running(look: Look) -> Reason | None:
    """A live worker runs it."""
    if look.job["status"] not in RUNNING or not look.holder["is_live"]:
        return None
    facts = _facts(look)
    lease = moment(facts["lease_until"], look.job["now"])
    return Reason("running", f"runs on {_worker(look)}{_since(look)}, lease until {lease}", facts)


def worker_lost(look: Look) -> Reason | None:
    """The worker that ran it is gone, and nobody has given the job back yet."""
    if look.job["status"] not in RUNNING or look.holder["is_live"]:
        return None
    holder = look.holder
    if holder["heartbeat_at"] is not None:
        gone = f"which last renewed its lease at {moment(holder['heartbeat_at'], look.job['now'])}"
    else:
        gone = "which has left"
    if holder["has_rescuer"]:
        then = "a live worker gives it back at its next round, `taskhub rescue` now"
    else:
        then = "no live worker is there to give it back: start one, or run `taskhub rescue`"
    return Reason("worker_lost", f"was run by {_worker(look)}, {gone}; {then}", _facts(look))


def overdue(look: Look) -> Reason | None:
    """It goes on past its timeout, as far as its task's code or its worker tells."""
    if look.job["status"] not in RUNNING or not look.holder["is_live"]:
        return None
    late, threads = _seconds_late(look), look.holder["overdue"]
    facts = {"seconds_late": late, "worker_overdue": threads}
    past = f"its worker has {counted(threads, 'overdue thread')} that cannot be stopped"
    if late is not None:
        told = f"is {span(late)} past its timeout" + (f"; {past}" if threads else "")
        return Reason("overdue", told, facts)
    if threads and _timeout(look) is None:
        return Reason("overdue", f"may be overdue, as {past}", facts)
    return None


def _timeout(look: Look) -> float | None:
    task = look.hub.tasks.get(look.job["task"])
    return task.execution.timeout if task is not None and task.execution is not None else None


def _seconds_late(look: Look) -> float | None:
    timeout, since = _timeout(look), look.job["started_at"]
    if timeout is None or since is None:
        return None
    late = float((look.job["now"] - since).total_seconds() - timeout)
    return late if late > 0 else None


def asked_to_stop(look: Look) -> Reason | None:
    """Somebody asked it to stop."""
    if look.job["status"] not in RUNNING:
        return None
    asked = look.holder["asked_at"]
    if asked is None and not look.job["abort_requested"]:
        return None
    at = f" at {moment(asked, look.job['now'])}" if asked is not None else ""
    facts = {"asked_at": asked, "reason": look.holder["reason"]}
    return Reason("asked_to_stop", f"was asked to stop{at}{quoted(facts['reason'])}", facts)


def _worker(look: Look) -> str:
    worker_id, holder = look.job["worker_id"], look.holder
    if worker_id is None:
        return "a plain procrastinate worker"
    if holder["host"] is None:
        return f"worker {worker_id}, a plain procrastinate worker"
    return f"worker {worker_id} ({holder['host']}, pid {holder['pid']})"


def _since(look: Look) -> str:
    at = look.job["started_at"]
    return f" since {moment(at, look.job['now'])}" if at is not None else ""


def _facts(look: Look) -> dict[str, Any]:
    holder = look.holder
    return {
        "worker_id": look.job["worker_id"],
        "host": holder["host"],
        "pid": holder["pid"],
        "started_at": look.job["started_at"],
        "attempt": look.job["attempts"] + 1,
        "heartbeat_at": holder["heartbeat_at"],
        "lease_until": holder["lease_until"],
    }
