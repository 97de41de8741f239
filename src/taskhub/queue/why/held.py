"""Why a job that waits is not ready: its gate, one function each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from taskhub.queue.retries import Backoff, strategy
from taskhub.queue.why.look import FAIR, FUTURE, MOST, READY, SET_ASIDE, UNKNOWN_TASK, Look, Reason
from taskhub.queue.why.words import NEXT_ROUND, counted, listed, moment, one_line, quoted

KNOWN_GATES = range(7)
# What an outcome that let the job wait again makes of its date.
_AGAIN = {"retried": "retrying", "snoozed": "snoozed", "interrupted": "interrupted"}


def scheduled(look: Look) -> Reason | None:
    """Its date is ahead: it was deferred so, is retried, was snoozed, or cut by a shutdown."""
    if not look.is_at(FUTURE):
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


def task_unknown(look: Look) -> Reason | None:
    """It was set aside because no live worker knew its task, or its version."""
    workers = look.workers
    if not look.is_at(UNKNOWN_TASK) or _is_too_new(look):
        return None
    task, knowing = look.job["task"], workers["knowing"]
    facts = {"task": task, "workers": workers["serving"], "workers_knowing": knowing}
    if knowing:
        return Reason(
            "task_unknown",
            f"was set aside while no live worker knew task {task!r}; {knowing} do now: {NEXT_ROUND}",
            facts,
        )
    return Reason("task_unknown", f"waits for a live worker that knows task {task!r}", facts)


def version_too_new(look: Look) -> Reason | None:
    """Live workers know its task, but none its version of the arguments."""
    if not (look.is_at(READY) or look.is_at(UNKNOWN_TASK)) or not _is_too_new(look):
        return None
    job, newest = look.job, look.workers["newest_version"]
    return Reason(
        "version_too_new",
        f"waits for a live worker that knows version {job['version']} of task {job['task']!r}: those "
        f"that serve queue {job['queue']!r} know it up to version {newest}",
        {"task": job["task"], "version": job["version"], "newest_version": newest},
    )


def _is_too_new(look: Look) -> bool:
    workers = look.workers
    return workers["newest_version"] is not None and not workers["knowing"]


def set_aside(look: Look) -> Reason | None:
    """It came up at the front of its queue while its task was paused or had no room."""
    if not look.is_at(SET_ASIDE):
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
    if not look.is_at(FAIR):
        return None
    job = look.job
    key, queue = job["fair_key"], job["queue"]
    [row] = look.rows(
        "why_turn",
        queue=queue, priority=job["priority"], fair_key=key, job_id=look.job_id, most=MOST,
    )  # fmt: skip
    facts = {
        "fair_key": key,
        "queue": queue,
        "weight": row["weight"],
        "keys_before": row["keys_before"] if row["turn"] is not None else None,
        "jobs_before": row["ahead"],
        "jobs_drawn": row["drawn"],
    }
    whom = f"of fair key {key!r}" if key is not None else "of the jobs without a fair key"
    told = f"waits for the turn {whom}, of weight {row['weight']}, among those of queue {queue!r}: "
    if row["turn"] is None:
        return Reason("fair_turn", f"{told}the next round of a worker gives it one", facts)
    first = [f"{counted(row['keys_before'], 'key', most=MOST)} before it"]
    if row["ahead"]:
        first.append(f"{counted(row['ahead'], 'job', most=MOST)} of its own key first")
    if row["drawn"]:
        first.append(f"{counted(row['drawn'], 'job', most=MOST)} drawn already")
    return Reason("fair_turn", told + ", ".join(first), facts)


def past_expiry(look: Look) -> Reason | None:
    """Its time to start is over, and nobody has ended it yet."""
    if not _expires(look) or look.job["expires_at"] > look.job["now"]:
        return None
    at = look.job["expires_at"]
    return Reason(
        "expired",
        f"expired at {moment(at, look.job['now'])} and never starts: the next round of a worker ends it "
        "as cancelled",
        {"expires_at": at},
    )


def expires(look: Look) -> Reason | None:
    """It ends if it does not start by a time that is ahead."""
    if not _expires(look) or look.job["expires_at"] <= look.job["now"]:
        return None
    at = look.job["expires_at"]
    told = f"expires at {moment(at, look.job['now'])} if it has not started by then"
    return Reason("expires", told, {"expires_at": at})


def _expires(look: Look) -> bool:
    return look.job["status"] == "todo" and look.job["expires_at"] is not None


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
