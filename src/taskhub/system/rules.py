"""The monitor's rules: each a function of a Reader that gives what it finds, in a steady order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub.kb.documents.state import Condition, document_states
from taskhub.queue import horizon, insight
from taskhub.queue.filters import JobFilter
from taskhub.system.findings import Finding, Reader
from taskhub.system.flow import (
    growing_backlog,
    low_disk,
    retry_storm,
    stalled,
)
from taskhub.system.schedules import silenced

Rule = Callable[[Reader], list[Finding]]
logger = logging.getLogger("taskhub.monitor")

# Findings of one rule; a thousand queues without a worker are one trouble, not a thousand.
MOST_FINDINGS = 20
# A share of fewer runs says nothing.
FEWEST_RUNS = 20
MOST_DOCUMENTS = 1000
NOTICE_TASK = "notice_send"


def queue_without_worker(reader: Reader) -> list[Finding]:
    """Queues that hold ready jobs which no live worker takes."""
    return [
        Finding(
            about=q.queue,
            severity="critical",
            text=f"queue {q.queue!r} holds {q.ready} ready jobs and has no live worker",
            remedy=f"taskhub worker --queue {q.queue}",
        )
        for q in reader.queues
        if q.ready
        and not q.workers
        and (q.oldest_ready_seconds or 0) >= reader.settings.alert_lonely_seconds
    ]


def oldest_age(reader: Reader) -> list[Finding]:
    """Queues whose oldest ready job waits longer than it should, with workers at hand."""
    allowed = {q.queue: insight.objective_seconds(reader.settings, q.queue) for q in reader.queues}
    return [
        Finding(
            about=q.queue,
            text=f"the oldest ready job of queue {q.queue!r} waits for more than {allowed[q.queue]:.0f} s",
            remedy=f"taskhub ls --queue {q.queue} --status todo, then `taskhub why` of one; more workers",
        )
        for q in reader.queues
        if q.workers and (q.oldest_ready_seconds or 0) > allowed[q.queue]
    ]


def unknown_tasks(reader: Reader) -> list[Finding]:
    """Tasks with waiting jobs that no live worker of their queue knows."""
    return [
        Finding(
            about=f"{count.queue}:{count.task}",
            severity="critical",
            text=f"jobs of task {count.task!r} wait in queue {count.queue!r}, and no live worker knows "
            + ("it" if count.newest_version is None else f"version {count.version} of it"),
            remedy="start workers of the program that defers them",
        )
        for count in insight.unserved(reader.hub)
    ]


def failing(reader: Reader) -> list[Finding]:
    """More runs fail than should, by number or by share, within the last hour."""
    counts = insight.counts(reader.hub, since=timedelta(hours=1))
    failed, runs = counts.failed_runs_lately, counts.failed_runs_lately + counts.succeeded_lately
    share = reader.settings.alert_failure_share
    if runs < FEWEST_RUNS or failed < share * runs:
        return []
    return [
        Finding(
            severity="critical",
            text=f"{share:.0%} or more of the runs of the last hour failed",
            remedy="taskhub ls --status failed --since 1h",
        )
    ]


def dead_letters(reader: Reader) -> list[Finding]:
    """More jobs failed for good within the last hour than should."""
    most = reader.settings.alert_failures_an_hour
    wanted = JobFilter(statuses=("failed",), since=timedelta(hours=1))
    if len(insight.jobs(reader.hub, wanted, limit=most)) < most:
        return []
    return [
        Finding(
            text=f"{most} or more of the jobs of the last hour failed for good",
            remedy="taskhub ls --status failed --since 1h, then `taskhub retry-failed --dry-run`",
        )
    ]


def open_breakers(reader: Reader) -> list[Finding]:
    """Keys whose breaker stopped their jobs."""
    return [
        Finding(
            about=key.name,
            text=f"the breaker of limit {key.name!r} is open: {key.open_reason}",
            remedy=f"taskhub resume --key {key.name}",
        )
        for key in insight.held_keys(reader.hub)
        if key.opened_at is not None
    ]


def stuck_documents(reader: Reader) -> list[Finding]:
    """Documents on their way that no job works on, or whose job died without a word in them."""
    if not reader.has_knowledge_base:
        return []
    states = document_states.c
    is_stuck = ((states.condition == Condition.INTERRUPTED.value) & states.job_status.is_(None)) | (
        (states.condition == Condition.FAILED.value) & (states.state != text("'error'"))
    )
    found = select(states.document_id).where(is_stuck).limit(MOST_DOCUMENTS).subquery()
    with Session(reader.hub.engine) as session:
        number = session.scalar(select(func.count()).select_from(found)) or 0
    if not number:
        return []
    told = f"{number} or more" if number == MOST_DOCUMENTS else str(number)
    return [
        Finding(
            text=f"{told} documents are neither complete nor worked on",
            remedy="taskhub document ls, then `taskhub document retry`",
        )
    ]


def refused_mails(reader: Reader) -> list[Finding]:
    """More mails were refused for good within the last hour than should."""
    if not reader.has_knowledge_base:
        return []
    most = reader.settings.alert_mails_refused_an_hour
    query = text(f"""
        SELECT count(*) FROM (
            SELECT FROM {reader.settings.kb_schema}.mail_outbox AS m
            WHERE m.state = 'refused' AND m.created_at > now() - interval '1 day'
              AND m.sending_at > now() - interval '1 hour'
            LIMIT :most
        ) AS refused
    """)  # noqa: S608 - the name was checked by Settings
    with reader.hub.engine.connect() as connection:
        number = connection.scalar(query, {"most": most}) or 0
    if number < most:
        return []
    return [
        Finding(
            text=f"{most} or more mails were refused within the last hour",
            remedy="taskhub ls --queue mail --status failed --since 1h",
        )
    ]


def vacuum_horizon(reader: Reader) -> list[Finding]:
    """Somebody keeps vacuum from removing dead rows, and they pile up."""
    held = horizon.hold(reader.hub)
    if held is None:
        return []
    who = f"{held.holder.kind} {held.holder.pid or ''} {held.holder.name or ''}".strip()
    return [
        Finding(
            text=f"vacuum cannot remove the queue's dead rows, held by {' '.join(who.split())}",
            remedy=held.holder.remedy,
        )
    ]


def missed_schedules(reader: Reader) -> list[Finding]:
    """Schedules whose ticks pass without a job, because no live worker declares them or none acts."""
    off = silenced(reader.settings)
    return [
        _missed(reader, state.name)
        for state in reader.hub.crons.states()
        if state.state == "stopped" and state.name not in off
    ]


def _missed(reader: Reader, name: str) -> Finding:
    if workers := reader.hub.read("cron_workers", name=name):
        first = workers[0]
        return Finding(
            about=name,
            text=f"schedule {name!r} misses its ticks, though live worker {first['id']} declares it",
            remedy=f"its scheduler hangs: see its log ({first['host']}, pid {first['pid']}), or "
            f"`taskhub drain {first['id']}`",
        )
    return Finding(
        about=name,
        text=f"schedule {name!r} misses its ticks: no live worker declares it",
        remedy=f"start a worker of its program, or `taskhub cron rm {name}`",
    )


def unsent_notices(reader: Reader) -> list[Finding]:
    """Notices that could not be sent for good; silent, as their notice would take the same way."""
    wanted = JobFilter(statuses=("failed",), tasks=(NOTICE_TASK,))
    if not (found := insight.jobs(reader.hub, wanted, limit=1)):
        return []
    return [
        Finding(
            text=f"notices could not be sent, the last one because of: {found[0].error_message}",
            remedy=f"taskhub retry-failed --task {NOTICE_TASK}",
            is_silent=True,
        )
    ]


# Each with the settings that say from when on it finds something.
THRESHOLDS: Mapping[Rule, tuple[str, ...]] = {
    queue_without_worker: ("alert_lonely_seconds",),
    oldest_age: ("alert_oldest_seconds", "alert_oldest_by_queue"),
    growing_backlog: ("alert_backlog_jobs", "alert_backlog_eta_seconds"),
    stalled: ("alert_stalled_seconds",),
    unknown_tasks: (),
    failing: ("alert_failure_share",),
    retry_storm: ("alert_retries",),
    dead_letters: ("alert_failures_an_hour",),
    open_breakers: (),
    stuck_documents: (),
    refused_mails: ("alert_mails_refused_an_hour",),
    vacuum_horizon: (),
    missed_schedules: (),
    low_disk: ("alert_disk_free_share",),
    unsent_notices: (),
}
RULES: Mapping[str, Rule] = {rule.__name__: rule for rule in THRESHOLDS}


def looks_for(rule: Rule) -> str:
    """What a rule finds, in one line."""
    return (rule.__doc__ or "").splitlines()[0].rstrip(".")


def look(
    reader: Reader, rules: Mapping[str, Rule] = RULES
) -> tuple[dict[str, Finding], dict[str, str]]:
    """What the rules find, by key, and why those broke that could not look, by the rule's name."""
    found: dict[str, Finding] = {}
    broken: dict[str, str] = {}
    for name, rule in rules.items():
        try:
            findings = rule(reader)
        except Exception as error:  # one that breaks must not blind the others
            logger.exception("rule failed", extra={"rule": name})
            broken[name] = f"{type(error).__name__}: {error}"
            continue
        for one in findings[:MOST_FINDINGS]:
            found[f"{name}:{one.about}" if one.about else name] = one
        if len(findings) > MOST_FINDINGS:
            found[f"{name}:…"] = _rest(findings)
    return found, broken


def _rest(findings: list[Finding]) -> Finding:
    first = findings[MOST_FINDINGS]
    # Without the number: it would change at every look.
    return Finding(
        text=f"and more of the same, {first.about} for one",
        remedy="taskhub doctor",
        severity=first.severity,
        is_silent=first.is_silent,
    )
