"""Why a job has ended: how, when, and what brings it back."""

from __future__ import annotations

from typing import Any

from taskhub.queue.why.look import Look, Reason
from taskhub.queue.why.words import moment, one_line, quoted

# The reason that expire_v1 gives.
EXPIRED = "expired"


def succeeded(look: Look) -> Reason | None:
    """It succeeded."""
    job = look.job
    if job["status"] != "succeeded":
        return None
    facts = {"finished_at": job["finished_at"], "attempt": max(job["attempts"], 1)}
    return Reason("succeeded", f"succeeded{_at(look)}, on attempt {facts['attempt']}", facts)


def failed(look: Look) -> Reason | None:
    """It is a dead letter."""
    if look.job["status"] != "failed":
        return None
    facts = _facts(look)
    kind = f" ({facts['fingerprint']})" if facts["fingerprint"] else ""
    return Reason(
        "failed",
        f"failed for good{_at(look)} after {_attempts(look)}{_error(facts)}{kind}; it is a dead letter, "
        f"which `taskhub retry {look.job_id}` lets run again",
        facts,
    )


def expired(look: Look) -> Reason | None:
    """It had not started by its time."""
    job = look.job
    if job["status"] != "cancelled" or job["expires_at"] is None:
        return None
    facts = _facts(look)
    # Nothing else marks it; who cancels by hand with this word does so before its time.
    if facts["error_message"] != EXPIRED or (job["finished_at"] or job["now"]) < job["expires_at"]:
        return None
    by = moment(job["expires_at"], job["now"])
    return Reason(
        "expired",
        f"was cancelled{_at(look)} ({EXPIRED}): it had not started by {by}",
        {**facts, "expires_at": job["expires_at"]},
    )


def cancelled(look: Look) -> Reason | None:
    """Somebody cancelled it."""
    if look.job["status"] != "cancelled" or expired(look) is not None:
        return None
    facts = _facts(look)
    return Reason("cancelled", f"was cancelled{_at(look)}{quoted(facts['error_message'])}", facts)


def aborted(look: Look) -> Reason | None:
    """It was stopped while it ran."""
    if look.job["status"] != "aborted":
        return None
    facts = _facts(look)
    return Reason("aborted", f"was stopped while it ran{_at(look)}{_error(facts)}", facts)


def _facts(look: Look) -> dict[str, Any]:
    last = look.last_run
    names = ("error_class", "error_message", "fingerprint")
    told = {name: last[name] if last is not None else None for name in names}
    return {
        "finished_at": look.job["finished_at"],
        "attempts": look.job["attempts"],
        "lost": look.job["lost"],
        **told,
    }


def _at(look: Look) -> str:
    at = look.job["finished_at"]
    return f" at {moment(at, look.job['now'])}" if at is not None else ""


def _attempts(look: Look) -> str:
    attempts, lost = look.job["attempts"], look.job["lost"]
    told = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return told if not lost else f"{told}, lost with {lost} workers"


def _error(facts: dict[str, Any]) -> str:
    if not facts["error_class"]:
        return ""
    return f": {facts['error_class']}: {one_line(facts['error_message'])}"
