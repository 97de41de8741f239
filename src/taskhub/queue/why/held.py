"""Why a job that waits is not ready: its gate, one function each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from taskhub.queue.retries import Backoff, strategy
from taskhub.queue.why.look import MOST, Look, Reason
from taskhub.queue.why.words import counted, listed, moment, one_line, quoted

FUTURE, LOCK, LIMIT, UNKNOWN_TASK, SET_ASIDE, FAIR = 1, 2, 3, 4, 5, 6
KNOWN_GATES = (0, FUTURE, LOCK, LIMIT, UNKNOWN_TASK, SET_ASIDE, FAIR)
NEXT_ROUND = "the next round of a worker lets it go on"
# What an outcome that let the job wait again makes of its date.
_AGAIN = {"retried": "retrying", "snoozed": "snoozed", "interrupted": "interrupted"}


def is_at(look: Look, gate: int) -> bool:
    """Whether the job waits at this gate."""
    return bool(look.job["status"] == "todo" and look.job["gate"] == gate)


def scheduled(look: Look) -> Reason | None:
    """Its date is ahead: it was deferred so, is retried, was snoozed, or cut by a shutdown."""
    if not is_at(look, FUTURE):
        return None
    job, last = look.job, look.last_run
    name = _AGAIN.get(last["outcome"], "scheduled") if last is not None else "scheduled"
    facts: dict[str, Any] = {"at": job["scheduled_at"]}
    at = job["scheduled_at"]
    if at is None or at <= job["now"]:
        came = f" at {moment(at, job['now'])}" if at is not None else ""
        return Reason(name, f"waited for its time, which came{came}: {NEXT_ROUND}", facts)
    if name != "retrying" or last is None:
        words = {"snoozed": "is snoozed", "interrupted": "was cut by a shutdown and waits"}
        return Reason(name, f"{words.get(name, 'waits')} until {moment(at, job['now'])}", facts)
    most = _most_attempts(look)
    facts |= {"attempt": job["attempts"] + 1, "attempts_at_most": most}
    facts |= {"error_class": last["error_class"], "error_message": last["error_message"]}
    of = f" of {most}" if most else ""
    error = f"{last['error_class']}: {one_line(last['error_message'])}"
    return Reason(
        name,
        f"waits to be retried, attempt {facts['attempt']}{of} at {moment(at, job['now'])}; "
        f"the last one ended with {error}",
        facts,
    )


def _most_attempts(look: Look) -> int | None:
    """How often the task runs a job at most; None where its code is not here, or does not say."""
    task = look.hub.tasks.get(look.job["task"])
    wanted = strategy(task.retry) if task is not None else None
    most = getattr(wanted, "max_attempts", None)
    if not isinstance(most, int):
        return None
    return most if isinstance(wanted, Backoff) else most + 1


def locked(look: Look) -> Reason | None:
    """It is behind its lock, which another job has."""
    if not is_at(look, LOCK):
        return None
    job = look.job
    [row] = look.rows(
        "why_lock",
        lock=job["lock"], priority=job["priority"], is_strict=job["is_strict"], job_id=look.job_id,
        most=MOST,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "lock": job["lock"],
        "holder_id": row["holder_id"],
        "jobs_before": row["ahead"],
    }
    before = ""
    if row["ahead"]:
        before = f"; {counted(row['ahead'], 'job', most=MOST)} behind that lock go first"
    lock = repr(job["lock"])
    if row["holder_id"] is not None:
        held = f"waits for lock {lock}, held by {_other(look, row['holder_id'], facts)}"
        return Reason("locked", held + before, facts)
    if row["first_id"] in (None, look.job_id):
        return Reason(
            "locked", f"is the first behind lock {lock}, which is free: {NEXT_ROUND}", facts
        )
    return Reason(
        "locked",
        f"waits behind lock {lock}, which is free, for job {row['first_id']} to go first{before}",
        facts,
    )


def _other(look: Look, job_id: int, facts: dict[str, Any]) -> str:
    """`job 7, which …`: the other job, and one level deeper what becomes of it."""
    if look.is_deep:
        return f"job {job_id}"
    other = look.beside(job_id)
    if other.found is None:
        return f"job {job_id}"
    facts["holder_status"] = other.job["status"]
    reason = next(iter(other.reasons()), None)
    if reason is None:
        return f"job {job_id}"
    facts["holder_reason"] = {"reason": reason.name, "facts": reason.facts}
    return f"job {job_id}, which {reason.clause}"


def limited(look: Look) -> Reason | None:
    """It is behind the limit of its key, whose slots others have, or which is paused."""
    if not is_at(look, LIMIT):
        return None
    job = look.job
    [row] = look.rows(
        "why_limit",
        key=job["limit_key"], priority=job["priority"], job_id=look.job_id, most=MOST,
    )  # fmt: skip
    at_most = row["ruled"] if row["ruled"] is not None else job["at_most"]
    facts: dict[str, Any] = {
        "limit": job["limit_key"],
        "at_most": at_most,
        "declared_at_most": job["at_most"],
        "taken": row["taken"],
        "holders": row["holders"] or [],
        "jobs_before": row["ahead"],
    }
    if row["paused_at"] is not None:
        return paused("limit_paused", f"limit {job['limit_key']!r}", row, job)
    key = f"limit {job['limit_key']!r}"
    if at_most is None or row["taken"] < at_most:
        first = f", behind {counted(row['ahead'], 'job', most=MOST)}" if row["ahead"] else ""
        return Reason("limited", f"waits behind {key}{first}, which has room: {NEXT_ROUND}", facts)
    return Reason("limited", f"waits for {key}, {_taken(row, at_most, job['at_most'])}", facts)


def _taken(row: RowMapping, at_most: int, declared: int | None) -> str:
    told = f"{at_most} at once"
    if row["ruled"] is not None and declared not in (None, at_most):
        told += f" by its rule, {declared} by its task"
    ids = [holder["id"] for holder in row["holders"]]
    told += f": taken by {'job' if row['taken'] == 1 else 'jobs'} {listed(ids, row['taken'])}"
    if row["taken_by_ready"]:
        told += f", {row['taken_by_ready']} of them ready and not running yet"
    if row["ahead"]:
        told += f"; {counted(row['ahead'], 'job', most=MOST)} behind that limit go first"
    return told


def task_unknown(look: Look) -> Reason | None:
    """It was set aside because no live worker knew its task."""
    if not is_at(look, UNKNOWN_TASK):
        return None
    task, knowing = look.job["task"], look.workers["knowing"]
    facts = {"task": task, "workers": look.workers["serving"], "workers_knowing": knowing}
    if knowing:
        return Reason(
            "task_unknown",
            f"was set aside while no live worker knew task {task!r}; {knowing} do now: {NEXT_ROUND}",
            facts,
        )
    return Reason("task_unknown", f"waits for a live worker that knows task {task!r}", facts)


def set_aside(look: Look) -> Reason | None:
    """It came up at the front of its queue while its task was paused or had no room."""
    if not is_at(look, SET_ASIDE):
        return None
    task, rule = look.job["task"], look.rules.get("task")
    if rule is not None and rule["paused_at"] is not None:
        return paused("task_paused", f"task {task!r}", rule, look.job)
    if rule is None or rule["at_most"] is None or rule["running"] < rule["at_most"]:
        return Reason(
            "task_limited",
            f"was set aside for task {task!r}, which has room again: {NEXT_ROUND}",
            {"task": task},
        )
    return full("task_limited", f"task {task!r}", rule)


def fair_turn(look: Look) -> Reason | None:
    """It waits for the turn of its fair key."""
    if not is_at(look, FAIR):
        return None
    key = look.job["fair_key"]
    whom = f"of fair key {key!r}" if key is not None else "of the jobs without a fair key"
    return Reason(
        "fair_turn",
        f"waits for the turn {whom} among those of queue {look.job['queue']!r}",
        {"fair_key": key, "queue": look.job["queue"]},
    )


def gate_of_a_newer_version(look: Look) -> Reason | None:
    """It waits at a gate that only a newer taskhub has."""
    job = look.job
    if job["status"] != "todo" or job["gate"] in KNOWN_GATES:
        return None
    return Reason(
        "newer_gate",
        f"waits at gate {job['gate']}, which a newer taskhub set; ask that version",
        {"gate": job["gate"]},
    )


def paused(name: str, what: str, rule: RowMapping, job: RowMapping) -> Reason:
    """What a pause of a queue, a task or a key says of a job that waits."""
    until = rule["paused_until"]
    ends = f" until {moment(until, job['now'])}" if until is not None else ""
    return Reason(
        name,
        f"waits for {what} to be resumed, paused since {moment(rule['paused_at'], job['now'])}"
        f"{ends}{quoted(rule['reason'])}",
        {"paused_at": rule["paused_at"], "paused_until": until, "reason": rule["reason"]},
    )


def full(name: str, what: str, rule: RowMapping) -> Reason:
    """What a queue's or a task's limit says of a job that waits."""
    ids, running = rule["job_ids"] or [], rule["running"]
    return Reason(
        name,
        f"waits for {what}, {rule['at_most']} at once: "
        f"{'job' if running == 1 else 'jobs'} {listed(ids, running)} {'runs' if running == 1 else 'run'}",
        {"at_most": rule["at_most"], "running": running, "job_ids": ids},
    )
