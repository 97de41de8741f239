"""Why a job that could run does not run yet: what is paused or full, and who is there to run it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from taskhub.queue.why.held import full, paused
from taskhub.queue.why.look import MOST, RATE_SECONDS, READY, Look, Reason
from taskhub.queue.why.words import counted, listed, moment, pace, span

SUSPECT_FROM = 2
# Longer than any pause between two looks of a worker that has free slots.
SOON_SECONDS = 15.0


def queue_paused(look: Look) -> Reason | None:
    """Somebody paused its queue."""
    rule = _rule(look, "queue")
    if rule is None or rule["paused_at"] is None:
        return None
    return paused("queue_paused", f"queue {look.job['queue']!r}", rule, look.job)


def task_paused(look: Look) -> Reason | None:
    """Somebody paused its task, and no claim has met the job since."""
    rule = _rule(look, "task")
    if rule is None or rule["paused_at"] is None or not look.is_at(READY):
        return None
    return paused("task_paused", f"task {look.job['task']!r}", rule, look.job)


def queue_limited(look: Look) -> Reason | None:
    """As many jobs of its queue run as may."""
    rule = _rule(look, "queue")
    if rule is None or not look.is_at(READY) or not _is_full(rule):
        return None
    return full("queue_limited", f"queue {look.job['queue']!r}", rule)


def task_limited(look: Look) -> Reason | None:
    """As many jobs of its task run as may, and no claim has met this one since."""
    rule = _rule(look, "task")
    if rule is None or not look.is_at(READY) or not _is_full(rule):
        return None
    return full("task_limited", f"task {look.job['task']!r}", rule)


def _rule(look: Look, kind: str) -> Any:
    return look.rules.get(kind) if look.job["status"] == "todo" else None


def _is_full(rule: Any) -> bool:
    is_paused = rule["paused_at"] is not None
    return not is_paused and rule["at_most"] is not None and rule["running"] >= rule["at_most"]


def no_worker(look: Look) -> Reason | None:
    """No live worker serves its queue."""
    workers = look.workers
    if look.job["status"] != "todo" or workers["serving"] or workers["draining"]:
        return None
    queue = look.job["queue"]
    return Reason(
        "no_worker",
        f"waits for a live worker: none serves queue {queue!r}; {_starts(queue)}",
        {"queue": queue, "workers": 0},
    )


def only_draining(look: Look) -> Reason | None:
    """All live workers that serve its queue were told to take no more jobs."""
    workers = look.workers
    if look.job["status"] != "todo" or workers["serving"] or not workers["draining"]:
        return None
    queue, draining, drained = look.job["queue"], workers["draining"], workers["drained"]
    ids = listed(workers["draining_ids"], draining)
    told = f"waits for a live worker that takes jobs: {counted(draining, 'worker')} of queue {queue!r} "
    told += f"(id {ids}) "
    if drained == draining:
        told += "is drained and idle" if drained == 1 else "are drained and idle"
    else:
        told += "drains" if draining == 1 else "drain"
        told += f", {drained} of them drained and idle" if drained else ""
    return Reason(
        "only_draining",
        f"{told}; {_starts(queue)}",
        {
            "queue": queue,
            "workers_draining": draining,
            "workers_drained": drained,
            "worker_ids": workers["draining_ids"],
        },
    )


def _starts(queue: str) -> str:
    return f"`taskhub worker --queue {queue}` starts one"


def task_not_known(look: Look) -> Reason | None:
    """Live workers serve its queue, and none of them knows its task."""
    workers = look.workers
    if not look.is_at(READY) or not workers["serving"] or workers["knowing"]:
        return None
    if workers["newest_version"] is not None:
        return None
    job, leaving = look.job, workers["draining_knowing"]
    told = (
        f"waits for a worker that knows task {job['task']!r}: none of the "
        f"{counted(workers['serving'], 'live worker')} that serve queue {job['queue']!r} does"
    )
    told += f", only {leaving} that drain{'' if leaving > 1 else 's'}" if leaving else ""
    return Reason(
        "task_not_known",
        f"{told}; start one whose --app declares it",
        {
            "task": job["task"],
            "workers": workers["serving"],
            "worker_ids": workers["worker_ids"],
            "workers_draining": leaving,
        },
    )


def suspect(look: Look) -> Reason | None:
    """Workers were lost with it: it is claimed alone."""
    if not look.is_at(READY) or look.job["lost"] < SUSPECT_FROM:
        return None
    return Reason(
        "suspect",
        f"waits for a worker that runs nothing else, since {look.job['lost']} workers were lost with it",
        {"lost": look.job["lost"]},
    )


def row_locked(look: Look) -> Reason | None:
    """Somebody's open transaction has locked its row."""
    if look.job["status"] != "todo":
        return None
    row = next(iter(look.rows("why_row_holder", job_id=look.job_id)), None)
    if row is None:
        return None
    name = f" ({row['name']!r})" if row["name"] else ""
    since = f" since {moment(row['since'], look.job['now'])}" if row["since"] is not None else ""
    return Reason(
        "row_locked",
        f"waits for the open transaction of session pid {row['pid']}{name}, {row['state'] or 'open'}"
        f"{since}, which has locked its row",
        dict(row),
    )


def suspect_first(look: Look) -> Reason | None:
    """A job that workers were lost with goes before it, alone."""
    if not _can_run(look) or look.job["lost"] >= SUSPECT_FROM:
        return None
    queue = look.job["queue"]
    row = next(iter(look.rows("why_suspect", queue=queue, job_id=look.job_id)), None)
    if row is None:
        return None
    how = "runs" if row["status"] == "doing" else "waits to run"
    return Reason(
        "suspect_first",
        f"waits for a worker that is not kept by job {row['id']}, which {how} alone because {row['lost']} "
        "workers were lost with it",
        {"suspect_id": row["id"], "lost": row["lost"], "status": row["status"]},
    )


def behind_others(look: Look) -> Reason | None:
    """Others go first, or every slot is busy."""
    if not _can_run(look) or look.job["lost"] >= SUSPECT_FROM:
        return None
    workers, ahead = look.workers, look.ahead
    if not ahead and workers["busy"] < workers["slots"]:
        return None
    rate = look.jobs_per_second
    seconds = (ahead + 1) / rate if rate else None
    first = f"{counted(ahead, 'ready job', most=MOST)} of queue {look.job['queue']!r} go first, "
    return Reason(
        "behind_others",
        f"waits for a free slot: {first if ahead else ''}{workers['busy']} of {workers['slots']} slots of "
        f"{counted(workers['knowing'], 'live worker')} are busy; {_estimate(seconds, rate, ahead)}",
        {
            "jobs_before": ahead,
            "counting_stopped": ahead > MOST,
            "slots": workers["slots"],
            "slots_busy": workers["busy"],
            "jobs_per_second": rate,
            "seconds_left": seconds,
        },
    )


def _estimate(seconds: float | None, rate: float | None, ahead: int) -> str:
    minutes = f"{RATE_SECONDS / 60:.0f} min"
    if seconds is None or rate is None:
        return f"the queue did too little in the last {minutes} for an estimate"
    least = "more than" if ahead > MOST else "about"
    return f"{least} {span(seconds)} at {pace(rate)}, its pace of the last {minutes}"


def about_to_start(look: Look) -> Reason | None:
    """Nothing is in its way."""
    workers = look.workers
    if not _can_run(look) or look.ahead or workers["busy"] >= workers["slots"]:
        return None
    job = look.job
    since = _ready_since(look)
    facts = {"ready_since": since, "worker_ids": workers["worker_ids"]}
    if (job["now"] - since).total_seconds() < SOON_SECONDS:
        return Reason("starting", "is ready and about to be claimed", facts)
    ids = listed(workers["worker_ids"], workers["serving"])
    return Reason(
        "starting",
        f"is ready since {moment(since, job['now'])} with nothing in its way, and should have been "
        f"claimed: look at the logs of worker {ids}",
        facts,
    )


def _ready_since(look: Look) -> datetime:
    job, last = look.job, look.last_run
    times = [job["deferred_at"], job["scheduled_at"], last and last["finished_at"]]
    known: list[datetime] = [time for time in times if time is not None]
    return max(known)


def _can_run(look: Look) -> bool:
    """Whether it is ready, nothing is paused or full, and somebody is there who knows the task."""
    rules = look.rules.values() if look.job["status"] == "todo" else ()
    if any(rule["paused_at"] is not None or _is_full(rule) for rule in rules):
        return False
    return look.is_at(READY) and look.workers["knowing"] > 0
