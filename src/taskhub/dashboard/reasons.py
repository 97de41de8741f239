"""Why a job is where it is, in languages that `why` does not speak: short, from the facts of its reasons.

`why` makes English sentences of many parts, which no catalogue holds. Here each reason has whole sentences
of its own, which are filled with the facts that prove it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from taskhub.dashboard import sentences
from taskhub.dashboard.words import mark
from taskhub.queue.states import JobDetail
from taskhub.queue.why import Why

# By a reason's name, the sentence that says most first: the first whose facts are all known is told.
SENTENCES: dict[str, tuple[str, ...]] = {
    "succeeded": (
        mark("It succeeded %(finished_at)s, on attempt %(attempt)s."),
        mark("It succeeded."),
    ),
    "failed": (
        mark("It failed for good %(finished_at)s: %(error_class)s: %(error_message)s"),
        mark("It failed for good."),
    ),
    "expired": (mark("It had not started by its time, %(expires_at)s, and never starts."),),
    "cancelled": (
        mark("It was cancelled %(finished_at)s: %(error_message)s"),
        mark("It was cancelled %(finished_at)s."),
        mark("It was cancelled."),
    ),
    "aborted": (
        mark("It was stopped while it ran, %(finished_at)s."),
        mark("It was stopped while it ran."),
    ),
    "running": (
        mark("Worker %(worker_id)s on %(host)s has begun it %(started_at)s; its lease ends %(lease_until)s."),
        mark("A worker runs it."),
    ),
    "worker_lost": (
        mark("Its worker %(worker_id)s is gone; a live worker gives it back, or `taskhub rescue` does."),
        mark("Its worker is gone; a live worker gives it back, or `taskhub rescue` does."),
    ),
    "overdue": (
        mark("It is past its timeout by %(seconds_late)s."),
        mark("It may be overdue: its worker has %(worker_overdue)s threads that cannot be stopped."),
    ),
    "asked_to_stop": (
        mark("It was asked to stop %(asked_at)s: %(reason)s"),
        mark("It was asked to stop."),
    ),
    "scheduled": (mark("It waits for its time, %(at)s."), mark("It waits for its time.")),
    "retrying": (
        mark("It is retried %(at)s; the last attempt ended with %(error_class)s: %(error_message)s"),
        mark("It waits to be retried."),
    ),
    "snoozed": (mark("It is snoozed; its time comes %(at)s."), mark("It waits for its time.")),
    "interrupted": (
        mark("A shutdown cut it; its time comes %(at)s."),
        mark("It waits for its time."),
    ),
    "locked": (
        mark("It waits for lock %(lock)s, which job %(holder_id)s has."),
        mark("It waits behind lock %(lock)s, which is free."),
    ),
    "strict_order": (
        mark("It waits in the strict order of lock %(lock)s for job %(early_id)s."),
    ),
    "limit_paused": (
        mark("Its limit was paused %(paused_at)s: %(reason)s"),
        mark("Its limit was paused %(paused_at)s."),
    ),
    "queue_paused": (
        mark("Queue %(queue)s was paused %(paused_at)s: %(reason)s"),
        mark("Queue %(queue)s was paused %(paused_at)s."),
    ),
    "task_paused": (
        mark("Task %(task)s was paused %(paused_at)s: %(reason)s"),
        mark("Task %(task)s was paused %(paused_at)s."),
    ),
    "breaker_open": (
        mark("The breaker of limit %(limit)s has opened %(opened_at)s: %(open_reason)s"),
        mark("The breaker of limit %(limit)s has opened %(opened_at)s."),
    ),
    "limited": (
        mark("It waits behind limit %(limit)s: %(taken)s of %(at_most)s places are taken."),
        mark("It waits behind limit %(limit)s."),
    ),
    "lowered_by_feedback": (
        mark("A 429 has lowered its limit from %(at_most)s to %(slots)s for a while."),
    ),
    "out_of_tokens": (
        mark(
            "It needs %(tokens_needed)s tokens of limit %(limit)s, which has %(tokens_left)s; there are "
            "enough %(enough_at)s at the earliest."
        ),
    ),
    "task_unknown": (mark("It waits for a worker that knows task %(task)s."),),
    "task_not_known": (mark("It waits for a worker that knows task %(task)s."),),
    "version_too_new": (
        mark(
            "It needs a worker that knows version %(version)s of task %(task)s; those of its queue know "
            "it up to version %(newest_version)s."
        ),
    ),
    "queue_limited": (
        mark("Queue %(queue)s lets %(at_most)s run at once, and %(running)s do."),
    ),
    "task_limited": (
        mark("Task %(task)s lets %(at_most)s run at once, and %(running)s do."),
        mark("It was set aside for task %(task)s, which has room again."),
    ),
    "fair_turn": (
        mark("It waits for the turn of fair key %(fair_key)s; %(keys_before)s keys come before it."),
        mark("It waits for the turn of its fair key."),
    ),
    "expires": (mark("If it has not started %(expires_at)s, it never does."),),
    "newer_gate": (mark("It waits at gate %(gate)s, which a newer taskhub set."),),
    "no_worker": (mark("No live worker serves queue %(queue)s."),),
    "only_draining": (
        mark("The workers of queue %(queue)s take no more jobs: %(workers_draining)s of them drain."),
    ),
    "suspect": (
        mark("%(lost)s workers were lost with it, so it waits for one that runs nothing else."),
    ),
    "suspect_first": (
        mark("Job %(suspect_id)s goes first and alone: %(lost)s workers were lost with it."),
    ),
    "row_locked": (mark("The open transaction of session pid %(pid)s has locked its row."),),
    "behind_others": (
        mark("%(jobs_before)s jobs of its queue go first; %(slots_busy)s of %(slots)s slots are busy."),
    ),
    "starting": (mark("It is ready to be claimed, since %(ready_since)s."),),
}  # fmt: skip


def told(why: Why, job: JobDetail, language: str) -> list[Markup]:
    """One sentence a reason, the main one first, in the language; what is not its own is escaped.

    A reason that is not known here, of a newer queue, is told in English.
    """
    return [_one(reason.name, reason.clause, reason.facts, job, language) for reason in why.reasons]


def _one(name: str, clause: str, facts: Mapping[str, Any], job: JobDetail, language: str) -> Markup:
    of_job = {"queue": job.queue, "task": job.task, "lock": job.lock}
    known = of_job | {key: value for key, value in facts.items() if value is not None}
    return sentences.filled(SENTENCES.get(name, ()), known, language) or Markup("{}").format(clause)
