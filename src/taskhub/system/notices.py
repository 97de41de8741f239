"""Notices: stored with the jobs that send them, one job for each way out, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from taskhub.queue.history import FailureGroup, Failures
from taskhub.settings import Settings
from taskhub.system.alerts import Changes
from taskhub.system.models import Notice

# However much goes wrong, a notice is something that a person reads.
MAX_LINES = 50
MAX_LINE = 300
MAX_MESSAGE = 160


def store(session: Session, kind: str, subject: str, lines: Sequence[str]) -> Notice:
    """A notice of at most 50 lines, in the caller's transaction; of more the rest is counted."""
    shown = [_line(line, MAX_LINE) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append(f"and {len(lines) - MAX_LINES} more")
    notice = Notice(kind=kind, subject=_line(subject, MAX_LINE), lines=shown)
    session.add(notice)
    session.flush()
    return notice


def of_alerts(session: Session, changes: Changes, settings: Settings) -> Notice | None:
    """What a look of the monitor changed, or None where nobody needs to hear of it."""
    if not changes.told and not changes.over:
        return None
    # The worst first: it is what must not be cut off.
    told = sorted(changes.told, key=lambda alert: alert.severity)
    lines = [f"{alert.severity}: {alert.text}; {alert.remedy}" for alert in told]
    lines += [
        f"resolved, was since {alert.since:%Y-%m-%d %H:%M %Z}: {alert.text}"
        for alert in changes.over
    ]
    first = told[0] if told else changes.over[0]
    more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
    state = "" if told else "resolved: "
    subject = f"[{settings.mail_brand}] {state}{first.text}{more}"
    return store(session, "alerts", subject, lines)


def of_failures(session: Session, failures: Failures, settings: Settings) -> Notice | None:
    """The jobs that failed for good, a line for each way of failing; None where none did."""
    if not failures.groups:
        return None
    lines = [_of_group(group) for group in failures.groups]
    if failures.more_groups:
        lines.append(f"and {failures.more_groups} more ways of failing")
    jobs = "1 job" if failures.total == 1 else f"{failures.total} jobs"
    subject = f"[{settings.mail_brand}] {jobs} failed for good"
    return store(session, "failures", subject, lines)


def _of_group(group: FailureGroup) -> str:
    what = f"{group.failures} x {group.task} in queue {group.queue}"
    error = f"{group.error_class}: {_line(group.error_message or '', MAX_MESSAGE)}"
    return f"{what}: {error}; taskhub show {group.newest_job_id}"


def _line(value: str, most: int) -> str:
    # Data must not write lines of its own, nor steer a terminal.
    flat = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
